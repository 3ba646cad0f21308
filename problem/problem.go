// Package problem builds and reads concise problem details (RFC 9290): what a server says
// about an error in a form that programs understand, where a diagnostic payload is for
// people alone (RFC 7252 §5.5.2).
//
// A server answers with [Write], a client reads the response with [Of]. The package is apart
// from package coap as it depends on a CBOR codec.
package problem

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// What reading problem details can fail by.
var (
	// ErrNone: the response has another Content-Format, or none.
	ErrNone = errors.New("problem: not problem details")
	// ErrMalformed: the bytes are no problem details item (RFC 9290 §2).
	ErrMalformed = errors.New("problem: malformed")
)

// Details is one problem details item (RFC 9290 §2). A zero field is not there, but one at
// least must be.
type Details struct {
	Title  Text // says the kind of problem in a few words, and is the same each time
	Detail Text // explains this occurrence
	// Instance is a URI reference that names this occurrence; relative to BaseURI, or else
	// to the request's URI.
	Instance string
	// ResponseCode is the code that the origin server answered with, which something in
	// between may have changed, or an item that was stored tells no longer. What counts is
	// the code of the response. [Write] sets it.
	ResponseCode message.Code
	BaseURI      string // absolute, for Instance and the values in Custom
	BaseLang     string // language tag of Texts that have none (RFC 5646)
	BaseRTL      bool   // the direction of these Texts is right to left
	// Unprocessed are the options of the request that the server could not process, with
	// 4.02 (RFC 9290 §3.1.1).
	Unprocessed []message.OptionNumber

	// Registered and Custom are the entries for particular kinds of problems, by their
	// number in the IANA registry or by a URI (RFC 9290 §3.2). Each value is one encoded
	// CBOR item, a map; that of a peer is as it came.
	Registered map[uint64][]byte
	Custom     map[string][]byte
	// Unknown are the standard entries that this package has no field for, by their key, which
	// is below -8, and each one encoded CBOR item: for who stores or forwards what it was told
	// (RFC 9290 §3).
	Unknown map[int64][]byte
}

// A Text is for people. Lang is its language tag, empty where that is not known.
type Text struct{ Text, Lang string }

// Write makes an error response of code with these details, which are the payload. What has
// been written before is dropped. ResponseCode becomes code, as the two must agree (RFC 9290
// §2). An error says which field can't be sent; the response then has the code alone.
func Write(w coap.ResponseWriter, code message.Code, d Details) error {
	w.Reset()
	w.SetCode(code)
	d.ResponseCode = code
	payload, err := d.MarshalBinary()
	if err != nil {
		return err
	}
	w.SetContentFormat(message.AppProblem)
	w.Write(payload)
	return nil
}

// Of reads the details in a response, fetching the rest of a body that came in part. The
// error is [ErrNone] where there are none, wraps [ErrMalformed] where they can't be read,
// or is that of [coap.Response.Bytes].
func Of(resp *coap.Response) (Details, error) {
	var d Details
	if format, ok := resp.ContentFormat(); !ok || format != message.AppProblem {
		return d, ErrNone
	}
	body, err := resp.Bytes()
	if err != nil {
		return d, err
	}
	err = d.UnmarshalBinary(body)
	return d, err
}

// Keys of the standard problem details (RFC 9290 §2).
const (
	keyTitle        = -1
	keyDetail       = -2
	keyInstance     = -3
	keyResponseCode = -4
	keyBaseURI      = -5
	keyBaseLang     = -6
	keyBaseRTL      = -7
	keyUnprocessed  = -8
)

// MarshalBinary encodes d as a CBOR map, deterministically (RFC 8949 §4.2). It refuses an
// item without any entry, text that is not UTF-8, a code that is no response, values in
// Registered and Custom that are not one CBOR map each, and entries in Unknown that are known or empty.
func (d Details) MarshalBinary() ([]byte, error) {
	if c := d.ResponseCode; c != 0 && !c.IsResponse() {
		return nil, fmt.Errorf("problem: %v is no response code", c)
	}
	entries := d.standard()
	for n, value := range d.Registered {
		entries[n] = cbor.RawMessage(value)
	}
	for uri, value := range d.Custom {
		entries[uri] = cbor.RawMessage(value)
	}
	for key, value := range entries {
		if raw, ok := value.(cbor.RawMessage); ok && !isMap(raw) {
			return nil, fmt.Errorf("problem: the value of entry %v is no map", key)
		}
	}
	for key, value := range d.Unknown {
		if key >= keyUnprocessed || len(value) == 0 {
			return nil, fmt.Errorf("problem: entry %d can't be sent as one that is unknown", key)
		}
		entries[key] = cbor.RawMessage(value)
	}
	b, err := encoder.Marshal(entries)
	if err == nil {
		err = new(Details).UnmarshalBinary(b) // what can't be read is not sent
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// standard returns the standard entries that are there.
func (d *Details) standard() map[any]any {
	entries := map[any]any{}
	add := func(key int, value any, there bool) {
		if there {
			entries[key] = value
		}
	}
	add(keyTitle, d.Title.item(), d.Title != Text{})
	add(keyDetail, d.Detail.item(), d.Detail != Text{})
	add(keyInstance, d.Instance, d.Instance != "")
	add(keyResponseCode, uint8(d.ResponseCode), d.ResponseCode != 0)
	add(keyBaseURI, d.BaseURI, d.BaseURI != "")
	add(keyBaseLang, d.BaseLang, d.BaseLang != "")
	add(keyBaseRTL, true, d.BaseRTL)
	if len(d.Unprocessed) == 1 {
		entries[keyUnprocessed] = d.Unprocessed[0]
	} else {
		add(keyUnprocessed, d.Unprocessed, len(d.Unprocessed) > 1)
	}
	return entries
}

// languageTag is the CBOR tag of a text with its language (RFC 9290 appendix A).
const languageTag = 38

// item is the text as CBOR: a string, or one with its language.
func (t Text) item() any {
	if t.Lang == "" {
		return t.Text
	}
	return cbor.Tag{Number: languageTag, Content: []string{t.Lang, t.Text}}
}
