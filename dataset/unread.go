package dataset

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
)

// The formats below are recognised and not read. The error for such a file names the format and says what to do instead.
func init() {
	const (
		export  = "export the table as CSV or Parquet"
		pickled = "a pickle can run code when it is loaded: load it where you trust it, and save a table with to_parquet or to_csv, arrays with numpy.save"
		archive = "unpack it, and give the file or folder that was in it"
		picture = "give a folder that holds a folder of images for each class"
		records = "write its samples as CSV, JSON lines, Parquet or .npy"
		sound   = "compute features of it, and save them with numpy.save"
		weights = "it holds a model, not data: give the table, arrays or images that it shall be used on"
	)
	for _, f := range []format{
		{name: "an Excel workbook", endings: []string{".xlsx", ".xlsm", ".xlsb"}, instead: "save the sheet as CSV", zip: zipWithFolder("xl/")},
		{name: "an Excel 97 workbook or another Office document", endings: []string{".xls", ".doc", ".ppt"}, instead: "save the sheet as CSV", magic: startsWith("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")},
		{name: "an OpenDocument file", endings: []string{".ods", ".odt"}, instead: "save the sheet as CSV", zip: isOpenDocument},
		{name: "a Word document", endings: []string{".docx"}, instead: "save its text as a .txt file, or its table as CSV", zip: zipWithFolder("word/")},
		{name: "a PowerPoint file", endings: []string{".pptx"}, instead: "save its text as a .txt file, or its table as CSV", zip: zipWithFolder("ppt/")},
		{name: "a PyTorch file", endings: []string{".pt", ".pth", ".ckpt"}, instead: "save its tensors with safetensors.torch.save_file, or as .npy with numpy.save", magic: startsWith("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"), zip: isPyTorch},
		{name: "a pickle", endings: []string{".pkl", ".pickle", ".joblib"}, instead: pickled, magic: isPickle, trustName: true},
		{name: "an HDF5 file", endings: []string{".h5", ".hdf5", ".hdf"}, instead: "save its arrays with numpy.save, a table of pandas with to_parquet", magic: startsWith("\x89HDF\r\n\x1a\n")},
		{name: "a Keras model", endings: []string{".keras"}, instead: weights, zip: func(m []string) bool { return slices.Contains(m, "model.weights.h5") }},
		{name: "a MATLAB file", endings: []string{".mat"}, instead: "save the matrix as CSV with writematrix, or its arrays with scipy.io.loadmat and numpy.save", magic: startsWith("MATLAB 5.0 MAT", "MATLAB 7.3 MAT", "MATLAB 6.0 MAT")},
		{name: "an SQLite database", endings: []string{".sqlite", ".sqlite3", ".db"}, instead: "export the table: sqlite3 -header -csv FILE 'select * from TABLE' > table.csv", magic: startsWith("SQLite format 3\x00")},
		{name: "a DuckDB database", endings: []string{".duckdb"}, instead: "export the table: COPY TABLE TO 'table.parquet'", magic: func(head []byte) bool { return len(head) >= 12 && string(head[8:12]) == "DUCK" }},
		{name: "an R file", endings: []string{".rds", ".rda", ".rdata"}, instead: "write the data frame with write.csv(x, 'x.csv', row.names = FALSE)", magic: startsWith("X\n\x00\x00\x00", "RDX2\n", "RDX3\n", "RDA2\n", "RDA3\n")},
		{name: "a PDF", endings: []string{".pdf"}, instead: "save its table as CSV, or its text as a .txt file", magic: startsWith("%PDF-")},
		{name: "an ORC file", endings: []string{".orc"}, instead: "write it as Parquet", magic: withBytes("ORC")},
		{name: "an Avro file", endings: []string{".avro"}, instead: "write it as Parquet or JSON lines", magic: startsWith("Obj\x01")},
		{name: "a TFRecord file", endings: []string{".tfrecord", ".tfrecords"}, instead: records, magic: isTFRecord, trustName: true},
		{name: "an LMDB database", endings: []string{".mdb", ".lmdb"}, instead: records, magic: func(head []byte) bool { return len(head) >= 20 && string(head[16:20]) == "\xde\xc0\xef\xbe" }},
		{name: "a Feather file of version 1", instead: "write it with version 2, as pyarrow.feather.write_feather does, or as Parquet", magic: startsWith("FEA1")},
		{name: "an SPSS file", endings: []string{".sav", ".zsav"}, instead: export, magic: startsWith("$FL2@(#)", "$FL3@(#)")},
		{name: "a Stata file", endings: []string{".dta"}, instead: export, magic: startsWith("<stata_dta>")},
		{name: "a SAS file", endings: []string{".sas7bdat", ".xpt"}, instead: export, magic: startsWith("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc2\xea\x81\x60", "HEADER RECORD*******")},
		{name: "a Protocol Buffers file", endings: []string{".pb"}, instead: records, trustName: true},
		{name: "a MessagePack file", endings: []string{".msgpack"}, instead: records, trustName: true},
		{name: "an ONNX model", endings: []string{".onnx"}, instead: weights, trustName: true},
		{name: "a GGUF model", endings: []string{".gguf"}, instead: weights, magic: withBytes("GGUF")},
		{name: "a 7z archive", endings: []string{".7z"}, instead: archive, magic: startsWith("7z\xbc\xaf\x27\x1c")},
		{name: "a RAR archive", endings: []string{".rar"}, instead: archive, magic: startsWith("Rar!\x1a\x07")},
		{name: "a tar archive", endings: []string{".tar", ".tgz"}, instead: archive, magic: func(head []byte) bool { return len(head) >= 262 && string(head[257:262]) == "ustar" }},
		{name: "packed by LZ4", endings: []string{".lz4"}, instead: archive, magic: startsWith("\x04\x22\x4d\x18")},
		{name: "packed by LZMA", endings: []string{".lzma"}, instead: archive, magic: startsWith("\x5d\x00\x00\x80\x00", "\x5d\x00\x00\x00\x04")},
		{name: "packed by lzip", endings: []string{".lz"}, instead: archive, magic: withBytes("LZIP")},
		{name: "packed by Snappy", endings: []string{".sz", ".snappy"}, instead: archive, magic: startsWith("\xff\x06\x00\x00sNaPpY")},
		{name: "packed by compress", endings: []string{".z"}, instead: archive, magic: startsWith("\x1f\x9d")},
		{name: "packed by Brotli", endings: []string{".br"}, instead: archive, trustName: true},
		{name: "a PNG image", endings: []string{".png"}, instead: picture, magic: startsWith("\x89PNG\r\n\x1a\n")},
		{name: "a JPEG image", endings: []string{".jpg", ".jpeg"}, instead: picture, magic: startsWith("\xff\xd8\xff")},
		{name: "a GIF image", endings: []string{".gif"}, instead: "save it as PNG, in a folder for its class", magic: startsWith("GIF87a", "GIF89a")},
		{name: "a TIFF image", endings: []string{".tif", ".tiff"}, instead: "save it as PNG, in a folder for its class", magic: startsWith("II*\x00", "MM\x00*")},
		{name: "a BMP image", endings: []string{".bmp"}, instead: "save it as PNG, in a folder for its class", magic: func(head []byte) bool {
			return len(head) >= 10 && string(head[:2]) == "BM" && string(head[6:10]) == "\x00\x00\x00\x00"
		}},
		{name: "a WebP image", endings: []string{".webp"}, instead: "save it as PNG, in a folder for its class", magic: riff("WEBP")},
		{name: "a WAV recording", endings: []string{".wav"}, instead: sound, magic: riff("WAVE")},
		{name: "an MP3 recording", endings: []string{".mp3"}, instead: sound, magic: startsWith("ID3\x02", "ID3\x03", "ID3\x04")},
		{name: "a FLAC or Ogg recording", endings: []string{".flac", ".ogg"}, instead: sound, magic: withBytes("fLaC", "OggS")},
		{name: "an MP4 or QuickTime video", endings: []string{".mp4", ".mov", ".m4a"}, instead: "compute features of it, and save them with numpy.save", magic: func(head []byte) bool { return len(head) >= 8 && string(head[4:8]) == "ftyp" }},
		{name: "a program", endings: []string{".exe", ".dll", ".so"}, instead: "give the data that it wrote", magic: startsWith("\x7fELF", "MZ\x90\x00")},
		{name: "a Git LFS pointer", instead: "fetch the file itself with git lfs pull", magic: startsWith("version https://git-lfs.github.com/spec/")},
		{name: "an HTML page", endings: []string{".html", ".htm"}, instead: "save the file behind the link, not the page that shows it", text: beginsTag("<!doctype html", "<html", "<head", "<body")},
		{name: "an XML file", endings: []string{".xml"}, instead: records, text: beginsTag("<?xml")},
		{name: "an RTF document", endings: []string{".rtf"}, instead: "save its text as a .txt file", text: beginsTag(`{\rtf`)},
	} {
		register(f)
	}
}

// zipWithFolder returns a function that recognises an Office document by a folder in its archive.
func zipWithFolder(folder string) func([]string) bool {
	return func(members []string) bool {
		return slices.Contains(members, "[Content_Types].xml") &&
			slices.ContainsFunc(members, func(m string) bool { return strings.HasPrefix(m, folder) })
	}
}

// withBytes returns the magic function of a format that begins with letters, as a text may, and goes on with bytes that no text has.
func withBytes(magics ...string) func([]byte) bool {
	return func(head []byte) bool { return startsWith(magics...)(head) && !isText(head) }
}

func isOpenDocument(members []string) bool {
	return slices.Contains(members, "content.xml") && slices.Contains(members, "META-INF/manifest.xml")
}

func isPyTorch(members []string) bool {
	return slices.ContainsFunc(members, func(m string) bool { return m == "data.pkl" || strings.HasSuffix(m, "/data.pkl") })
}

// isPickle reports whether a file begins as a pickle of protocol 2 to 5. Older protocols are text, and are recognised by the file's name.
func isPickle(head []byte) bool {
	return len(head) >= 3 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 && !startsWith("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46")(head)
}

// isTFRecord reports whether a file begins with a record, by the checksum of the record's length: CRC-32C, rotated and with a constant added.
func isTFRecord(head []byte) bool {
	if len(head) < 12 {
		return false
	}
	sum := crc32.Checksum(head[:8], crc32.MakeTable(crc32.Castagnoli))
	return binary.LittleEndian.Uint32(head[8:]) == (sum>>15|sum<<17)+0xa282ead8
}

func riff(kind string) func([]byte) bool {
	return func(head []byte) bool {
		return len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == kind
	}
}

// beginsTag returns a function that recognises a text by one of several beginnings, in any case.
func beginsTag(tags ...string) func([]byte) bool {
	return func(head []byte) bool {
		head = bytes.TrimSpace(head)
		return slices.ContainsFunc(tags, func(tag string) bool {
			return len(head) >= len(tag) && strings.EqualFold(string(head[:len(tag)]), tag)
		})
	}
}
