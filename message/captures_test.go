package message

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// refusedOnPurpose returns the error for rows that the capture's decoders took for a
// message while this one refuses them, because a recipient rejects them anyway.
func refusedOnPurpose(file string, row capturedRow) error {
	class, reply := row.Code[0], row.Type == int(Acknowledgement) || row.Type == int(Reset)
	switch {
	case len(row.Token) > 2*MaxTokenLength:
		return ErrTokenLength // RFC 8974 is not built
	case file != "s33-badinput-probe-libcoap":
		return nil
	case row.Code == "0.00" && (row.Token != "" || len(row.Options) > 0 || row.Payload != nil):
		return ErrEmptyMessage // RFC 7252 §4.1
	case class == '1' || class == '6' || class == '7':
		return ErrCode // §4.2, §4.3: reserved classes
	case class == '0' && row.Code != "0.00" && reply:
		return ErrType // §4.2: a request in an ACK or RST
	}
	return nil
}

// Each message captured encodes to its own bytes again: over UDP the form of a delta or
// a length follows from its value (RFC 7252 §3.1), so there is but one encoding.
func TestCaptures(t *testing.T) {
	decoded, refused := 0, 0
	for file, rows := range capturedRows(t) {
		for _, row := range rows {
			datagram := unhexed(t, row.Raw)
			var v View
			err := v.Parse(datagram)
			var want error
			if row.Error == "" {
				want = refusedOnPurpose(file, row)
			}
			switch {
			case row.Error != "" || want != nil:
				if err == nil || want != nil && !errors.Is(err, want) {
					t.Errorf("%s frame %d: %v, %v, want an error (%s)", file, row.Frame, &v, err, row.Error)
				}
				refused++
				continue
			case err != nil:
				t.Errorf("%s frame %d: %v", file, row.Frame, err)
				continue
			}
			decoded++
			compareWithOracle(t, file, row, &v)
			m := v.Message()
			again, err := m.MarshalBinary()
			if err != nil {
				t.Errorf("%s frame %d: %v", file, row.Frame, err)
			}
			if !bytes.Equal(again, datagram) {
				t.Errorf("%s frame %d: encoded again %x, was %x", file, row.Frame, again, datagram)
			}
			checkOptionCheck(t, &v, &recognizedInTests)
			checkPrintable(t, &v)
		}
	}
	if decoded != 1656 || refused != 44 {
		t.Errorf("%d messages decoded and %d refused, want 1656 and 44", decoded, refused)
	}
}

// compareWithOracle compares each field with what two other decoders agreed on.
func compareWithOracle(t *testing.T, file string, row capturedRow, v *View) {
	t.Helper()
	token, payload := v.Token().String(), (*string)(nil)
	if v.Payload() != nil {
		text := hex.EncodeToString(v.Payload())
		payload = &text
	}
	if row.Version != 1 || int(v.Type()) != row.Type || v.Code().String() != row.Code || int(v.ID()) != row.MID || token != row.Token {
		t.Errorf("%s frame %d: %v, want %+v", file, row.Frame, v, row)
	}
	if (payload == nil) != (row.Payload == nil) || payload != nil && *payload != *row.Payload {
		t.Errorf("%s frame %d: another payload", file, row.Frame)
	}
	i := 0
	for n, value := range v.Options() {
		if i >= len(row.Options) || row.Options[i] != [2]any{float64(n), hex.EncodeToString(value)} {
			t.Errorf("%s frame %d: option %d is %v %x, want %v", file, row.Frame, i, n, value, row.Options)
			return
		}
		i++
	}
	if i != len(row.Options) {
		t.Errorf("%s frame %d: %d options, want %d", file, row.Frame, i, len(row.Options))
	}
}

// What the README of the captures says of real peers, seen from the codec.
func TestCapturedDeviations(t *testing.T) {
	rows := capturedRows(t)
	literalHost, longZero := 0, 0
	for _, row := range rows["s05-basic-coapsimple-nodecoap"] {
		v := parsed(t, row.Raw)
		if host, ok := v.URIHost(); ok && strings.Count(string(host), ".") == 3 {
			literalHost++ // Uri-Host with an address literal
			if uri, err := ComposeURI(v, false, dest4); err != nil || !strings.HasPrefix(uri, "coap://127.0.0.1/") {
				t.Errorf("%q, %v", uri, err)
			}
		}
		if value, ok := v.Option(ContentFormat); ok && bytes.Equal(value, []byte{0}) {
			longZero++ // Content-Format 0 in one byte
			if f, ok := v.ContentFormat(); !ok || f != TextPlain {
				t.Errorf("Content-Format %v, %t", f, ok)
			}
		}
	}
	if literalHost == 0 || longZero == 0 {
		t.Errorf("%d literal hosts, %d long zeros", literalHost, longZero)
	}
	noToken := 0
	for _, row := range rows["s06-observe-nodecoap-coapsimple"] {
		v := parsed(t, row.Raw)
		if v.Type() == Acknowledgement && v.Code() == NotFound && v.Token().Len() == 0 {
			noToken++
		}
	}
	if noToken == 0 {
		t.Error("no 4.04 without token")
	}
	overflow := 0
	for _, row := range rows["s33-badinput-probe-libcoap"] {
		var v View
		if errors.Is(v.Parse(unhexed(t, row.Raw)), ErrOptionNumber) {
			overflow++
		}
	}
	if overflow < 2 {
		t.Errorf("%d deltas above 65535", overflow)
	}
}
