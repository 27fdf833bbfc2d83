package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // registers its decoder
	_ "image/png"  // likewise
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/internal/splitname"
)

const (
	defaultSide = 32 // pixels a side that a folder's images are resized to where they are not all of one small size
	ownSide     = 64 // pixels a side up to which images of one size keep it
)

// openFolder reads a folder that holds a folder of PNG and JPEG files for each class. like is the pipeline of the training images, nil for
// those themselves; other images are converted to its size and channels.
func openFolder(path string, o Options, like *Pipeline) (*array, error) {
	classes, files, codes, err := listFolder(path, isImage)
	if err != nil {
		return nil, err
	}
	a := &array{path: path, n: len(files), labels: &values{codes: codes, levels: classes}}
	return a, a.decode(files, o, like)
}

// holdsTexts reports whether a folder's folders hold files, and no image among them.
func holdsTexts(path string) bool {
	_, images, _, _ := listFolder(path, isImage)
	_, texts, _, _ := listFolder(path, isDocument)
	return len(images) == 0 && len(texts) > 0
}

// A fileKind reports whether a file is of a kind, by its name. Its error says why a file that should be of it is not read.
type fileKind func(name string) (bool, error)

// listFolder lists the files of a kind in the folders of a folder, and the class of each, the name of its folder.
func listFolder(path string, wanted fileKind) (classes, files []string, codes []int32, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		inside, err := filesIn(filepath.Join(path, entry.Name()), wanted)
		if err != nil {
			return nil, nil, nil, err
		}
		if len(inside) > 0 {
			files = append(files, inside...)
			codes = append(codes, slices.Repeat([]int32{int32(len(classes))}, len(inside))...)
			classes = append(classes, entry.Name())
		}
	}
	if len(files) == 0 {
		return nil, nil, nil, fmt.Errorf("%s holds no folder with .png or .jpg files, nor with texts: %w", path, errNoClasses)
	}
	return classes, files, codes, nil
}

// looseFiles returns the files of a kind in a folder, in the order of their names, or in its folders where it has none itself.
func looseFiles(path string, wanted fileKind) ([]string, error) {
	files, err := filesIn(path, wanted)
	if err == nil && len(files) == 0 {
		_, files, _, err = listFolder(path, wanted)
	}
	return files, err
}

// filesIn returns the paths of the files of a kind in a folder itself, in the order of their names.
func filesIn(path string, wanted fileKind) (files []string, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		file := filepath.Join(path, entry.Name())
		is, err := wanted(entry.Name())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if is {
			files = append(files, file)
		}
	}
	return files, nil
}

// imageEndings and otherImages are the endings of images that are read, and of those that are not.
var (
	imageEndings = []string{".png", ".jpg", ".jpeg"}
	otherImages  = []string{".gif", ".tif", ".tiff", ".bmp", ".webp", ".avif", ".heic", ".jp2"}
)

// isImage is the fileKind of images. Hidden files are none, such as those that macOS writes beside each image (._1.png). An image that is not
// read is an error, since it would be left out without a word.
func isImage(name string) (bool, error) {
	ending := strings.ToLower(filepath.Ext(name))
	switch {
	case isHidden(name):
		return false, nil
	case slices.Contains(otherImages, ending):
		return false, fmt.Errorf("images of type %s are not read: save them all as PNG or JPEG", ending[1:])
	}
	return slices.Contains(imageEndings, ending), nil
}

// isHidden reports whether a file is not for people: hidden, or what Windows writes beside images.
func isHidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.EqualFold(name, "Thumbs.db") || strings.EqualFold(name, "desktop.ini")
}

// isDocument is the fileKind of what may be a text: neither an image nor a hidden file. Its content is checked when it is read.
func isDocument(name string) (bool, error) {
	ending := strings.ToLower(filepath.Ext(name))
	return !isHidden(name) && !slices.Contains(imageEndings, ending) && !slices.Contains(otherImages, ending), nil
}

// splitFolders takes the folders train, val and test in o.Path for the splits, where it has them in place of folders of classes and o names no other.
func (o Options) splitFolders() (Options, string) {
	if o.Val != "" || o.Test != "" {
		return o, ""
	}
	entries, _ := os.ReadDir(o.Path) // an error is told by who reads the folder
	found := map[string]string{}
	var names []string
	for _, entry := range entries {
		split := splitWords[strings.ToLower(entry.Name())]
		path := filepath.Join(o.Path, entry.Name())
		if split == "" || found[split] != "" || !entry.IsDir() || !holdsClasses(path) {
			continue
		}
		found[split] = path
		names = append(names, entry.Name())
	}
	if found[splitname.Train] == "" || holdsClasses(o.Path) {
		return o, ""
	}
	note := fmt.Sprintf("the splits are the folders %s of %s", listed(names), o.Path)
	o.Path, o.Val, o.Test = found[splitname.Train], found[splitname.Val], found[splitname.Test]
	return o, note
}

// holdsClasses reports whether a folder has folders of images or texts. One that cannot be read counts, so that its reader says why.
func holdsClasses(path string) bool {
	return slices.ContainsFunc([]fileKind{isImage, isDocument}, func(kind fileKind) bool {
		_, _, _, err := listFolder(path, kind)
		return !errors.Is(err, errNoClasses)
	})
}

var errNoClasses = errors.New("a folder for each class is wanted")

// decode reads the files as images of one size: the one that the user asked for, their own where a sample of the files agrees on a small one,
// or else 32×32.
func (a *array) decode(files []string, o Options, like *Pipeline) error {
	if like != nil && like.Shape != nil {
		a.shape = []int{like.Shape.Height, like.Shape.Width, like.Shape.Channels}
	} else {
		side, agree, channels := image.Point{}, true, 1
		for i := 0; i < len(files); i += max(1, len(files)/64) {
			config, err := imageConfig(files[i])
			if err != nil {
				return err
			}
			size := image.Pt(config.Width, config.Height)
			agree = agree && (i == 0 || size == side)
			side = size
			if config.ColorModel != color.GrayModel && config.ColorModel != color.Gray16Model {
				channels = 3
			}
		}
		switch {
		case o.ImageSize > 0:
			side = image.Pt(o.ImageSize, o.ImageSize)
		case !agree || max(side.X, side.Y) > ownSide:
			side = image.Pt(defaultSide, defaultSide)
		}
		a.shape = []int{side.Y, side.X, channels}
	}
	size := a.width()
	a.pixels = make([]byte, len(files)*size)
	return inParallel(len(files), func(i int) error {
		if err := o.ended(); err != nil {
			return err
		}
		picture, err := readImage(files[i])
		if err != nil {
			return err
		}
		resize(a.pixels[i*size:(i+1)*size], picture, a.shape[0], a.shape[1], a.shape[2])
		return nil
	})
}

// imageConfig reads an image's size, after its orientation is applied, and refuses an image whose pixels would need far more memory than its
// file has bytes.
func imageConfig(path string) (image.Config, error) {
	file, info, err := files.Open(path)
	if err != nil {
		return image.Config{}, err
	}
	defer file.Close()
	const head = 1 << 20 // EXIF data come first in a JPEG; it may hold a preview
	raw, err := io.ReadAll(io.LimitReader(file, head))
	if err != nil {
		return image.Config{}, err
	}
	config, _, err := image.DecodeConfig(io.MultiReader(bytes.NewReader(raw), file))
	if err != nil {
		return config, fmt.Errorf("%s is not an image that can be decoded: %w", path, err)
	}
	if orientation(raw) >= 5 {
		config.Width, config.Height = config.Height, config.Width
	}
	return config, checkSize(path, config, info.Size())
}

func checkSize(path string, config image.Config, file int64) error {
	if config.Width < 1 || config.Height < 1 {
		return fmt.Errorf("%s is an image of %d×%d pixels", path, config.Width, config.Height)
	}
	if pixels := int64(config.Width) * int64(config.Height); pixels > 1<<28 || 8*pixels > freeBytes+1024*file {
		return fmt.Errorf("%s says it has %d×%d pixels, too many for a file of %d bytes", path, config.Width, config.Height, file)
	}
	return nil
}

func readImage(path string) (image.Image, error) {
	raw, err := files.Read(path, 1<<30)
	if err != nil {
		return nil, err
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%s is not an image that can be decoded: %w", path, err)
	}
	if err := checkSize(path, config, int64(len(raw))); err != nil {
		return nil, err
	}
	picture, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%s is not an image that can be decoded: %w", path, err)
	}
	if o := orientation(raw); o > 1 {
		picture = orientedImage{picture, o}
	}
	return picture, nil
}

// resize writes picture to dst [height,width,channels]. Each pixel is the mean of those that it covers, or the nearest one where it covers
// none. Transparent parts lie on black.
func resize(dst []byte, picture image.Image, height, width, channels int) {
	b := picture.Bounds()
	for y := range height {
		top := b.Min.Y + y*b.Dy()/height
		bottom := max(top+1, b.Min.Y+(y+1)*b.Dy()/height)
		for x := range width {
			left := b.Min.X + x*b.Dx()/width
			right := max(left+1, b.Min.X+(x+1)*b.Dx()/width)
			var sum [3]uint64
			for j := top; j < bottom; j++ {
				for i := left; i < right; i++ {
					r, g, bl, _ := picture.At(i, j).RGBA()
					sum[0], sum[1], sum[2] = sum[0]+uint64(r), sum[1]+uint64(g), sum[2]+uint64(bl)
				}
			}
			n := uint64((bottom-top)*(right-left)) * 257
			at := dst[(y*width+x)*channels:]
			if channels == 1 {
				at[0] = byte((299*sum[0] + 587*sum[1] + 114*sum[2] + 500*n) / (1000 * n))
				continue
			}
			for c := range min(3, channels) {
				at[c] = byte((sum[c] + n/2) / n)
			}
		}
	}
}
