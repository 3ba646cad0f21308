package message

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Format is a CoAP Content-Format: the number of a media type with its parameters and
// of a content coding (RFC 7252 §5.5.1, §12.3). It is the value of the options
// [ContentFormat] and [Accept].
type Format uint16

// Content-Formats in common use; [Formats] has all that are registered.
const (
	TextPlain     Format = 0  // text/plain; charset=utf-8
	AppLinkFormat Format = 40 // RFC 6690
	AppXML        Format = 41
	OctetStream   Format = 42
	AppExi        Format = 47
	AppJSON       Format = 50
	AppJSONPatch  Format = 51 // RFC 6902
	AppMergePatch Format = 52 // RFC 7396
	AppCBOR       Format = 60
	AppCWT        Format = 61
	AppMultipart  Format = 62 // RFC 8710
	AppCBORSeq    Format = 63 // RFC 8742
	AppSenmlJSON  Format = 110
	AppSensmlJSON Format = 111
	AppSenmlCBOR  Format = 112
	AppSensmlCBOR Format = 113
	AppSenmlExi   Format = 114
	AppSensmlExi  Format = 115
	AppProblem    Format = 257 // concise problem details, RFC 9290
	AppSenmlXML   Format = 310
	AppSensmlXML  Format = 311
	AppOSCORE     Format = 10001
	AppLwm2mTLV   Format = 11542
	AppLwm2mJSON  Format = 11543
	AppLwm2mCBOR  Format = 11544
)

// ErrUnknownFormat is what [ParseFormat] returns for a text that names no Content-Format.
var ErrUnknownFormat = errors.New("message: unknown content-format")

// Info returns what is registered for f, and false where nothing is.
func (f Format) Info() (info FormatInfo, registered bool) {
	low, high := 0, len(formatRegistry)
	for low < high {
		if mid := (low + high) / 2; formatRegistry[mid].Format < f {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(formatRegistry) && formatRegistry[low].Format == f {
		return formatRegistry[low], true
	}
	return FormatInfo{Format: f}, false
}

// String returns the media type, behind it the content coding in parentheses where there
// is one, such as "application/json (deflate)"; the number where f is not registered.
func (f Format) String() string {
	info, ok := f.Info()
	switch {
	case !ok:
		return strconv.Itoa(int(f))
	case info.Coding != "":
		return info.MediaType + " (" + info.Coding + ")"
	}
	return info.MediaType
}

// ParseFormat reads a number, a media type (as [Format.String] gives it; case, quotes and
// blanks around parameters don't matter; text/plain alone is utf-8), or an alias: the
// subtype, "-" being as good as "+" (json, cbor, senml-json, link-format), or one of the short words
// text, link, octet, binary, js, problem, tlv. The error wraps [ErrUnknownFormat].
func ParseFormat(s string) (Format, error) {
	if n, err := strconv.ParseUint(s, 10, 16); err == nil {
		return Format(n), nil
	}
	key := formatKey(s)
	if f, ok := formatAliases[key]; ok {
		return f, nil
	}
	for _, info := range formatRegistry {
		if formatKey(info.Format.String()) == key {
			return info.Format, nil
		}
	}
	key = strings.ReplaceAll(key, "+", "-")
	for _, info := range formatRegistry {
		_, subtype, _ := strings.Cut(info.MediaType, "/")
		if strings.ReplaceAll(subtype, "+", "-") == key {
			return info.Format, nil
		}
	}
	return 0, fmt.Errorf("%w %.60q", ErrUnknownFormat, s)
}

// formatKey strips what does not tell media types apart.
func formatKey(s string) string {
	return strings.NewReplacer(" ", "", "\t", "", `"`, "").Replace(strings.ToLower(s))
}

// formatAliases has the short words that don't follow from the registry.
var formatAliases = map[string]Format{
	"text":          TextPlain,
	"plain":         TextPlain,
	"text/plain":    TextPlain,
	"link":          AppLinkFormat,
	"octet":         OctetStream,
	"octets":        OctetStream,
	"binary":        OctetStream,
	"json-patch":    AppJSONPatch,
	"merge-patch":   AppMergePatch,
	"multipart":     AppMultipart,
	"problem":       AppProblem,
	"cose-encrypt0": 16,
	"cose-mac0":     17,
	"cose-sign1":    18,
	"cose-encrypt":  96,
	"cose-mac":      97,
	"cose-sign":     98,
	"js":            10002,
	"tlv":           AppLwm2mTLV,
	"lwm2m-tlv":     AppLwm2mTLV,
	"lwm2m-json":    AppLwm2mJSON,
	"lwm2m-cbor":    AppLwm2mCBOR,
	"css":           20000,
	"svg":           30000,
}
