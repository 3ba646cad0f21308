package problem

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/motewire/coap/message"
)

// Bounds for what a peer sends.
const (
	maxNesting = 16
	maxEntries = 1024
)

var (
	encoder = mustEncoder()
	decoder = mustDecoder()
)

func mustEncoder() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return mode
}

func mustDecoder() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, UTF8: cbor.UTF8RejectInvalid,
		MaxNestedLevels: maxNesting, MaxArrayElements: maxEntries, MaxMapPairs: maxEntries,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}

// UnmarshalBinary decodes one problem details item, which it copies. Standard entries that it
// doesn't know are Unknown (RFC 9290 §3). Errors wrap [ErrMalformed], and leave d as it was.
func (d *Details) UnmarshalBinary(b []byte) error {
	var items map[any]cbor.RawMessage
	if err := decode(b, &items); err != nil {
		return err
	}
	if len(items) == 0 {
		return fmt.Errorf("%w: no entry", ErrMalformed)
	}
	var read Details
	for key, value := range items {
		if err := read.set(key, value); err != nil {
			return err
		}
	}
	*d = read
	return nil
}

func decode(b []byte, into any) error {
	if err := decoder.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// set takes one entry.
func (d *Details) set(key any, value cbor.RawMessage) error {
	switch key := key.(type) {
	case int64:
		return d.setStandard(key, value)
	case uint64:
		if d.Registered == nil {
			d.Registered = map[uint64][]byte{}
		}
		d.Registered[key] = value
		return nil
	case string:
		if d.Custom == nil {
			d.Custom = map[string][]byte{}
		}
		d.Custom[key] = value
		return nil
	}
	return fmt.Errorf("%w: a key of type %T", ErrMalformed, key)
}

// Major types of CBOR (RFC 8949 §3.1), in the initial byte.
const (
	majorType = 0xe0
	textType  = 0x60
	arrayType = 0x80
	mapType   = 0xa0
)

// isMap reports whether an item is a map, as values for particular kinds of problems are.
func isMap(item cbor.RawMessage) bool { return len(item) > 0 && item[0]&majorType == mapType }

func (d *Details) setStandard(key int64, value cbor.RawMessage) error {
	switch key {
	case keyTitle:
		return d.Title.set(value)
	case keyDetail:
		return d.Detail.set(value)
	case keyInstance:
		return decodeText(value, &d.Instance)
	case keyResponseCode:
		var code uint8
		err := decode(value, &code)
		d.ResponseCode = message.Code(code)
		return err
	case keyBaseURI:
		return decodeText(value, &d.BaseURI)
	case keyBaseLang:
		return decodeText(value, &d.BaseLang)
	case keyBaseRTL:
		return decode(value, &d.BaseRTL) // null, which is for automatic, is false
	case keyUnprocessed:
		return d.setUnprocessed(value)
	}
	if d.Unknown == nil {
		d.Unknown = map[int64][]byte{}
	}
	d.Unknown[key] = value
	return nil
}

// setUnprocessed takes one option number or an array of them.
func (d *Details) setUnprocessed(value cbor.RawMessage) error {
	if len(value) > 0 && value[0]&majorType == arrayType {
		var numbers []message.OptionNumber
		err := decode(value, &numbers)
		d.Unprocessed = append(d.Unprocessed, numbers...) // nil where there is none
		return err
	}
	d.Unprocessed = make([]message.OptionNumber, 1)
	return decode(value, &d.Unprocessed[0])
}

// decodeText is decode for a text string, as the codec takes null for an empty one.
func decodeText(value cbor.RawMessage, into *string) error {
	if len(value) == 0 || value[0]&majorType != textType {
		return fmt.Errorf("%w: no text", ErrMalformed)
	}
	return decode(value, into)
}

// set takes a text, with its language or without. The direction of a single text is passed
// over.
func (t *Text) set(value cbor.RawMessage) error {
	var tag cbor.RawTag
	if cbor.Unmarshal(value, &tag) != nil {
		return decodeText(value, &t.Text)
	}
	var parts []cbor.RawMessage
	if err := decode(tag.Content, &parts); err != nil {
		return err
	}
	if tag.Number != languageTag || len(parts) < 2 || len(parts) > 3 {
		return fmt.Errorf("%w: no text with a language", ErrMalformed)
	}
	if err := decodeText(parts[0], &t.Lang); err != nil {
		return err
	}
	return decodeText(parts[1], &t.Text)
}
