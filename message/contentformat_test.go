package message

import (
	"errors"
	"slices"
	"testing"
)

func TestFormatRegistry(t *testing.T) {
	ascending := slices.IsSortedFunc(formatRegistry, func(a, b FormatInfo) int { return int(a.Format) - int(b.Format) })
	if !ascending {
		t.Error("not in ascending order")
	}
	texts := make(map[string]Format)
	for info := range Formats() {
		text := info.Format.String()
		if other, ok := texts[text]; ok {
			t.Errorf("%d and %d are both %q", info.Format, other, text)
		}
		texts[text] = info.Format
		if got, err := ParseFormat(text); err != nil || got != info.Format {
			t.Errorf("ParseFormat(%q) = %d, %v, want %d", text, got, err, info.Format)
		}
		if got, ok := info.Format.Info(); !ok || got != info {
			t.Errorf("%d: %+v, %t", info.Format, got, ok)
		}
	}
	// RFC 7252 §12.3, table 9.
	for f, want := range map[Format]string{0: "text/plain; charset=utf-8", 40: "application/link-format", 41: "application/xml",
		42: "application/octet-stream", 47: "application/exi", 50: "application/json",
		60: "application/cbor", 11050: "application/json (deflate)", 65000: "65000"} {
		if f.String() != want {
			t.Errorf("%d = %q, want %q", uint16(f), f, want)
		}
	}
	if info, ok := Format(65000).Info(); ok || info.Format != 65000 {
		t.Errorf("65000: %+v, %t", info, ok)
	}
}

func TestParseFormat(t *testing.T) {
	tests := map[string]Format{
		"0": 0, "65535": 65535, "text": TextPlain, "text/plain": TextPlain, "text/plain;charset=utf-8": TextPlain,
		"TEXT/plain ; charset=\"UTF-8\"": TextPlain, "json": AppJSON, "application/json": AppJSON,
		"cbor": AppCBOR, "link": AppLinkFormat, "link-format": AppLinkFormat, "octet": OctetStream,
		"octet-stream": OctetStream, "binary": OctetStream, "xml": AppXML, "exi": AppExi,
		"senml-json": AppSenmlJSON, "senml-cbor": AppSenmlCBOR, "senml-xml": AppSenmlXML, "senml-exi": AppSenmlExi,
		"sensml-json": AppSensmlJSON, "senml+json": AppSenmlJSON, "cwt": AppCWT, "cbor-seq": AppCBORSeq,
		"json-patch": AppJSONPatch, "merge-patch": AppMergePatch, "problem": AppProblem, "oscore": AppOSCORE,
		"application/cose; cose-type=cose-sign1": 18, "cose-sign1": 18, "cose-key": 101, "tlv": AppLwm2mTLV,
		"png": 23, "svg": 30000, "css": 20000, "application/json (zstd)": 12050, "td-json": 432,
	}
	for s, want := range tests {
		if got, err := ParseFormat(s); err != nil || got != want {
			t.Errorf("ParseFormat(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "65536", "-1", "application/", "text/", "cose", "nonsense", "application/cose"} {
		if got, err := ParseFormat(s); !errors.Is(err, ErrUnknownFormat) {
			t.Errorf("ParseFormat(%q) = %d, %v", s, got, err)
		}
	}
}
