// Package senml reads SenML packs in JSON and CBOR, and resolves their records (RFC 8428).
package senml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// version is that of RFC 8428 §4.4: a pack of a later one can't be understood.
const version = 10

// What a pack can do wrong.
var (
	ErrVersion = errors.New("senml: a later version")
	ErrName    = errors.New("senml: a name with characters that it must not have, or none")
	ErrField   = errors.New("senml: a field that must be understood and is not known")
	ErrValues  = errors.New("senml: a record with several values, or without one")
)

// A Record is a resolved record: what it says stands alone (RFC 8428 §4.6).
type Record struct {
	Name   string
	Unit   string
	Time   float64 // seconds since 1970, or since now where it is less than 2**28 (§4.5.3)
	Update float64 // seconds until the next one at the latest; 0: not said

	// One of these at the most is there; a nil pointer or nil bytes: it is not.
	Value *float64
	Text  *string
	Bool  *bool
	Bytes []byte // not as base64

	Sum *float64
}

// Relative tells whether Time counts from now (§4.5.3).
func (r *Record) Relative() bool { return r.Time < 1<<28 }

// An entry is a record as it stands in a pack; cbor's keys are those of §6, Table 4.
type entry struct {
	BaseVersion *int     `json:"bver" cbor:"-1,keyasint"`
	BaseName    *string  `json:"bn" cbor:"-2,keyasint"`
	BaseTime    *float64 `json:"bt" cbor:"-3,keyasint"`
	BaseUnit    *string  `json:"bu" cbor:"-4,keyasint"`
	BaseValue   *float64 `json:"bv" cbor:"-5,keyasint"`
	BaseSum     *float64 `json:"bs" cbor:"-6,keyasint"`
	Name        string   `json:"n" cbor:"0,keyasint"`
	Unit        *string  `json:"u" cbor:"1,keyasint"`
	Value       *float64 `json:"v" cbor:"2,keyasint"`
	Text        *string  `json:"vs" cbor:"3,keyasint"`
	Bool        *bool    `json:"vb" cbor:"4,keyasint"`
	Sum         *float64 `json:"s" cbor:"5,keyasint"`
	Time        float64  `json:"t" cbor:"6,keyasint"`
	Update      float64  `json:"ut" cbor:"7,keyasint"`

	JSONBytes *string `json:"vd" cbor:"-"` // base64url
	CBORBytes *[]byte `json:"-" cbor:"8,keyasint"`
}

// ParseJSON reads a pack in application/senml+json or sensml+json and resolves its
// records. It returns what the JSON decoder finds wrong, or one of the errors here.
func ParseJSON(pack []byte) ([]Record, error) {
	var fields []map[string]json.RawMessage
	if err := json.Unmarshal(pack, &fields); err != nil {
		return nil, fmt.Errorf("senml: %w", err)
	}
	var entries []entry
	if err := json.Unmarshal(pack, &entries); err != nil {
		return nil, fmt.Errorf("senml: %w", err)
	}
	for _, f := range fields {
		for name := range f {
			if strings.HasSuffix(name, "_") { // §4.4
				return nil, fmt.Errorf("%w: %q", ErrField, name)
			}
		}
	}
	return resolve(entries)
}

// decoding refuses nested packs and duplicate labels.
var decoding = func() cbor.DecMode {
	mode, err := cbor.DecOptions{MaxNestedLevels: 8, DupMapKey: cbor.DupMapKeyEnforcedAPF}.DecMode()
	if err != nil {
		panic(err) // the options are constant
	}
	return mode
}()

// ParseCBOR reads a pack in application/senml+cbor or sensml+cbor and resolves its
// records. It returns what the CBOR decoder finds wrong, or one of the errors here.
func ParseCBOR(pack []byte) ([]Record, error) {
	var fields []map[any]cbor.RawMessage
	if err := decoding.Unmarshal(pack, &fields); err != nil {
		return nil, fmt.Errorf("senml: %w", err)
	}
	var entries []entry
	if err := decoding.Unmarshal(pack, &entries); err != nil {
		return nil, fmt.Errorf("senml: %w", err)
	}
	for _, f := range fields {
		for name := range f {
			if text, ok := name.(string); ok && strings.HasSuffix(text, "_") {
				return nil, fmt.Errorf("%w: %q", ErrField, text)
			}
		}
	}
	return resolve(entries)
}

// names are what a resolved name may be (§4.5.1).
var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9\-:./_]*$`)

// resolve applies base fields (§4.6): each one holds until the next of its kind.
func resolve(entries []entry) ([]Record, error) {
	var base entry
	var records []Record
	for i := range entries {
		e := &entries[i]
		if e.BaseVersion != nil && *e.BaseVersion > version {
			return nil, fmt.Errorf("%w: %d", ErrVersion, *e.BaseVersion)
		}
		base.inherit(e)
		if e.isBaseAlone() {
			continue
		}
		r, err := e.record(&base)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

func (base *entry) inherit(e *entry) {
	for _, f := range []struct{ to, from **float64 }{
		{&base.BaseTime, &e.BaseTime}, {&base.BaseValue, &e.BaseValue}, {&base.BaseSum, &e.BaseSum},
	} {
		if *f.from != nil {
			*f.to = *f.from
		}
	}
	if e.BaseName != nil {
		base.BaseName = e.BaseName
	}
	if e.BaseUnit != nil {
		base.BaseUnit = e.BaseUnit
	}
}

// isBaseAlone tells whether an entry has base fields and nothing else: it makes no record
// (§4.2).
func (e *entry) isBaseAlone() bool {
	bare := *e
	bare.BaseVersion, bare.BaseName, bare.BaseTime = nil, nil, nil
	bare.BaseUnit, bare.BaseValue, bare.BaseSum = nil, nil, nil
	return bare == entry{} && *e != entry{}
}

// record resolves one entry.
func (e *entry) record(base *entry) (Record, error) {
	r := Record{Name: text(base.BaseName) + e.Name, Time: number(base.BaseTime) + e.Time, Update: e.Update, Text: e.Text, Bool: e.Bool}
	if !names.MatchString(r.Name) {
		return r, fmt.Errorf("%w: %.60q", ErrName, r.Name)
	}
	r.Unit = text(base.BaseUnit)
	if e.Unit != nil {
		r.Unit = *e.Unit
	}
	if e.Value != nil {
		r.Value = sum(base.BaseValue, e.Value)
	}
	if e.Sum != nil || base.BaseSum != nil {
		r.Sum = sum(base.BaseSum, e.Sum) // a missing one counts as zero (§4.2)
	}
	if e.CBORBytes != nil {
		r.Bytes = append([]byte{}, *e.CBORBytes...)
	}
	if e.JSONBytes != nil {
		var err error
		if r.Bytes, err = decodeBase64(*e.JSONBytes); err != nil {
			return r, fmt.Errorf("senml: vd: %w", err)
		}
	}
	return r, r.check()
}

// check finds a record with more than one value, or with neither a value nor a sum (§4.2).
func (r *Record) check() error {
	values := 0
	for _, has := range []bool{r.Value != nil, r.Text != nil, r.Bool != nil, r.Bytes != nil} {
		if has {
			values++
		}
	}
	if values > 1 || values == 0 && r.Sum == nil {
		return fmt.Errorf("%w: %s", ErrValues, r.Name)
	}
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func number(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

func sum(a, b *float64) *float64 {
	s := number(a) + number(b)
	return &s
}

// decodeBase64 reads base64 with the alphabet for URLs, without padding (§5).
func decodeBase64(s string) ([]byte, error) {
	b, err := base64URL.DecodeString(string(bytes.TrimRight([]byte(s), "=")))
	if b == nil {
		b = []byte{}
	}
	return b, err
}
