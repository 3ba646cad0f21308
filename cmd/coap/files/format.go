package files

import (
	"path"
	"strings"

	"github.com/motewire/coap/message"
)

// formats are the Content-Formats of files by their extension.
var formats = map[string]message.Format{
	".txt": message.TextPlain, ".text": message.TextPlain, ".log": message.TextPlain,
	".md": message.TextPlain, ".csv": message.TextPlain,
	".json": message.AppJSON, ".xml": message.AppXML, ".cbor": message.AppCBOR, ".exi": message.AppExi,
	".wlnk":  message.AppLinkFormat,                                  // RFC 6690 §7.3
	".senml": message.AppSenmlJSON, ".sensml": message.AppSensmlJSON, // RFC 8428 §12.3
	".senmlc": message.AppSenmlCBOR, ".sensmlc": message.AppSensmlCBOR,
	".senmlx": message.AppSenmlXML, ".sensmlx": message.AppSensmlXML,
	".senmle": message.AppSenmlExi, ".sensmle": message.AppSensmlExi,
	".gif": 21, ".jpg": 22, ".jpeg": 22, ".png": 23, ".svg": 30000, ".css": 20000, ".js": 10002,
}

// formatOf returns the Content-Format of a file, octets where nothing is known.
func formatOf(name string) message.Format {
	if f, ok := formats[strings.ToLower(path.Ext(name))]; ok {
		return f
	}
	return message.OctetStream
}
