package dataset

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
)

// What people have and is not read is called by its name, with the way out.
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
		{name: "an Excel workbook", ends: []string{".xlsx", ".xlsm", ".xlsb"}, way: "save the sheet as CSV", zipped: holds("xl/")},
		{name: "an Excel 97 workbook or another Office document", ends: []string{".xls", ".doc", ".ppt"}, way: "save the sheet as CSV", magic: startsWith("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")},
		{name: "an OpenDocument file", ends: []string{".ods", ".odt"}, way: "save the sheet as CSV", zipped: isOpenDocument},
		{name: "a Word document", ends: []string{".docx"}, way: "save its text as a .txt file, or its table as CSV", zipped: holds("word/")},
		{name: "a PowerPoint file", ends: []string{".pptx"}, way: "save its text as a .txt file, or its table as CSV", zipped: holds("ppt/")},
		{name: "a PyTorch file", ends: []string{".pt", ".pth", ".ckpt"}, way: "save its tensors with safetensors.torch.save_file, or as .npy with numpy.save", magic: startsWith("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"), zipped: isPyTorch},
		{name: "a pickle", ends: []string{".pkl", ".pickle", ".joblib"}, way: pickled, magic: isPickle, named: true},
		{name: "an HDF5 file", ends: []string{".h5", ".hdf5", ".hdf"}, way: "save its arrays with numpy.save, a table of pandas with to_parquet", magic: startsWith("\x89HDF\r\n\x1a\n")},
		{name: "a Keras model", ends: []string{".keras"}, way: weights, zipped: func(m []string) bool { return slices.Contains(m, "model.weights.h5") }},
		{name: "a MATLAB file", ends: []string{".mat"}, way: "save the matrix as CSV with writematrix, or its arrays with scipy.io.loadmat and numpy.save", magic: startsWith("MATLAB 5.0 MAT", "MATLAB 7.3 MAT", "MATLAB 6.0 MAT")},
		{name: "an SQLite database", ends: []string{".sqlite", ".sqlite3", ".db"}, way: "export the table: sqlite3 -header -csv FILE 'select * from TABLE' > table.csv", magic: startsWith("SQLite format 3\x00")},
		{name: "a DuckDB database", ends: []string{".duckdb"}, way: "export the table: COPY TABLE TO 'table.parquet'", magic: func(head []byte) bool { return len(head) >= 12 && string(head[8:12]) == "DUCK" }},
		{name: "an R file", ends: []string{".rds", ".rda", ".rdata"}, way: "write the data frame with write.csv(x, 'x.csv', row.names = FALSE)", magic: startsWith("X\n\x00\x00\x00", "RDX2\n", "RDX3\n", "RDA2\n", "RDA3\n")},
		{name: "a PDF", ends: []string{".pdf"}, way: "save its table as CSV, or its text as a .txt file", magic: startsWith("%PDF-")},
		{name: "an ORC file", ends: []string{".orc"}, way: "write it as Parquet", magic: withBytes("ORC")},
		{name: "an Avro file", ends: []string{".avro"}, way: "write it as Parquet or JSON lines", magic: startsWith("Obj\x01")},
		{name: "a TFRecord file", ends: []string{".tfrecord", ".tfrecords"}, way: records, magic: isTFRecord, named: true},
		{name: "an LMDB database", ends: []string{".mdb", ".lmdb"}, way: records, magic: func(head []byte) bool { return len(head) >= 20 && string(head[16:20]) == "\xde\xc0\xef\xbe" }},
		{name: "a Feather file of version 1", way: "write it with version 2, as pyarrow.feather.write_feather does, or as Parquet", magic: startsWith("FEA1")},
		{name: "an SPSS file", ends: []string{".sav", ".zsav"}, way: export, magic: startsWith("$FL2@(#)", "$FL3@(#)")},
		{name: "a Stata file", ends: []string{".dta"}, way: export, magic: startsWith("<stata_dta>")},
		{name: "a SAS file", ends: []string{".sas7bdat", ".xpt"}, way: export, magic: startsWith("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc2\xea\x81\x60", "HEADER RECORD*******")},
		{name: "a Protocol Buffers file", ends: []string{".pb"}, way: records, named: true},
		{name: "a MessagePack file", ends: []string{".msgpack"}, way: records, named: true},
		{name: "an ONNX model", ends: []string{".onnx"}, way: weights, named: true},
		{name: "a GGUF model", ends: []string{".gguf"}, way: weights, magic: withBytes("GGUF")},
		{name: "a 7z archive", ends: []string{".7z"}, way: archive, magic: startsWith("7z\xbc\xaf\x27\x1c")},
		{name: "a RAR archive", ends: []string{".rar"}, way: archive, magic: startsWith("Rar!\x1a\x07")},
		{name: "a tar archive", ends: []string{".tar", ".tgz"}, way: archive, magic: func(head []byte) bool { return len(head) >= 262 && string(head[257:262]) == "ustar" }},
		{name: "packed by LZ4", ends: []string{".lz4"}, way: archive, magic: startsWith("\x04\x22\x4d\x18")},
		{name: "packed by LZMA", ends: []string{".lzma"}, way: archive, magic: startsWith("\x5d\x00\x00\x80\x00", "\x5d\x00\x00\x00\x04")},
		{name: "packed by lzip", ends: []string{".lz"}, way: archive, magic: withBytes("LZIP")},
		{name: "packed by Snappy", ends: []string{".sz", ".snappy"}, way: archive, magic: startsWith("\xff\x06\x00\x00sNaPpY")},
		{name: "packed by compress", ends: []string{".z"}, way: archive, magic: startsWith("\x1f\x9d")},
		{name: "packed by Brotli", ends: []string{".br"}, way: archive, named: true},
		{name: "a PNG image", ends: []string{".png"}, way: picture, magic: startsWith("\x89PNG\r\n\x1a\n")},
		{name: "a JPEG image", ends: []string{".jpg", ".jpeg"}, way: picture, magic: startsWith("\xff\xd8\xff")},
		{name: "a GIF image", ends: []string{".gif"}, way: "save it as PNG, in a folder for its class", magic: startsWith("GIF87a", "GIF89a")},
		{name: "a TIFF image", ends: []string{".tif", ".tiff"}, way: "save it as PNG, in a folder for its class", magic: startsWith("II*\x00", "MM\x00*")},
		{name: "a BMP image", ends: []string{".bmp"}, way: "save it as PNG, in a folder for its class", magic: func(head []byte) bool {
			return len(head) >= 10 && string(head[:2]) == "BM" && string(head[6:10]) == "\x00\x00\x00\x00"
		}},
		{name: "a WebP image", ends: []string{".webp"}, way: "save it as PNG, in a folder for its class", magic: riff("WEBP")},
		{name: "a WAV recording", ends: []string{".wav"}, way: sound, magic: riff("WAVE")},
		{name: "an MP3 recording", ends: []string{".mp3"}, way: sound, magic: startsWith("ID3\x02", "ID3\x03", "ID3\x04")},
		{name: "a FLAC or Ogg recording", ends: []string{".flac", ".ogg"}, way: sound, magic: withBytes("fLaC", "OggS")},
		{name: "an MP4 or QuickTime video", ends: []string{".mp4", ".mov", ".m4a"}, way: "compute features of it, and save them with numpy.save", magic: func(head []byte) bool { return len(head) >= 8 && string(head[4:8]) == "ftyp" }},
		{name: "a program", ends: []string{".exe", ".dll", ".so"}, way: "give the data that it wrote", magic: startsWith("\x7fELF", "MZ\x90\x00")},
		{name: "a Git LFS pointer", way: "fetch the file itself with git lfs pull", magic: startsWith("version https://git-lfs.github.com/spec/")},
		{name: "an HTML page", ends: []string{".html", ".htm"}, way: "save the file behind the link, not the page that shows it", text: beginsTag("<!doctype html", "<html", "<head", "<body")},
		{name: "an XML file", ends: []string{".xml"}, way: records, text: beginsTag("<?xml")},
		{name: "an RTF document", ends: []string{".rtf"}, way: "save its text as a .txt file", text: beginsTag(`{\rtf`)},
	} {
		register(f)
	}
}

// holds knows a zip archive by a folder in it.
func holds(folder string) func([]string) bool {
	return func(members []string) bool {
		return slices.Contains(members, "[Content_Types].xml") &&
			slices.ContainsFunc(members, func(m string) bool { return strings.HasPrefix(m, folder) })
	}
}

// binary knows a format by letters that a text may begin with too: it goes on with bytes that no text has.
func withBytes(magics ...string) func([]byte) bool {
	return func(head []byte) bool { return startsWith(magics...)(head) && !isText(head) }
}

func isOpenDocument(members []string) bool {
	return slices.Contains(members, "content.xml") && slices.Contains(members, "META-INF/manifest.xml")
}

func isPyTorch(members []string) bool {
	return slices.ContainsFunc(members, func(m string) bool { return m == "data.pkl" || strings.HasSuffix(m, "/data.pkl") })
}

// isPickle knows protocols 2 to 5; those before are text, which the name tells.
func isPickle(head []byte) bool {
	return len(head) >= 3 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 && !startsWith("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46")(head)
}

// isTFRecord knows a record by the checksum of its length: CRC-32C, rotated and with a constant added.
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

// beginsTag knows a text by what it begins with, whatever its case.
func beginsTag(tags ...string) func([]byte) bool {
	return func(head []byte) bool {
		head = bytes.TrimSpace(head)
		return slices.ContainsFunc(tags, func(tag string) bool {
			return len(head) >= len(tag) && strings.EqualFold(string(head[:len(tag)]), tag)
		})
	}
}
