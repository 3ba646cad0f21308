package plugtest

import (
	"errors"
	"math/big"
	"slices"
	"strings"
)

// Why a body can't be applied to a document.
var (
	errMalformed  = errors.New("plugtest: malformed line")
	errNotInteger = errors.New("plugtest: not an integer")
)

// A document is a list of pairs in lines, key=value. No key is twice in it.
type document []pair

// A pair has neither "=" nor a line break, its key no "+" and at least one byte.
type pair struct{ key, value string }

// A change sets the value of a key or, where add, adds to it.
type change struct {
	pair
	add bool
}

// parseDocument reads pairs. The last one of a key counts. The error is errMalformed.
func parseDocument(text string) (document, error) {
	changes, err := parseChanges(text, false)
	if err != nil {
		return nil, err
	}
	return document(nil).with(changes)
}

// parseChanges reads lines of key=value and, where additions are allowed, key+=integer.
// The error is errMalformed.
func parseChanges(text string, additions bool) ([]change, error) {
	var changes []change
	for _, line := range lines(text) {
		key, value, ok := strings.Cut(line, "=")
		key, add := strings.CutSuffix(key, "+")
		switch {
		case !ok, key == "", strings.Contains(key, "+"), strings.Contains(value, "="):
			return nil, errMalformed
		case add && (!additions || !isInteger(value)):
			return nil, errMalformed
		}
		changes = append(changes, change{pair{key, value}, add})
	}
	return changes, nil
}

// lines returns the lines of a text whose last line break may be missing.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// with returns the document after all changes, in their order; d stays as it is. A key
// that is new comes to the end; what is added to counts as 0 then. The error is
// errNotInteger.
func (d document) with(changes []change) (document, error) {
	d = slices.Clone(d)
	for _, c := range changes {
		i := slices.IndexFunc(d, func(p pair) bool { return p.key == c.key })
		if i < 0 {
			i = len(d)
			d = append(d, pair{c.key, "0"})
		}
		if !c.add {
			d[i].value = c.value
			continue
		}
		sum, ok := add(d[i].value, c.value)
		if !ok {
			return nil, errNotInteger
		}
		d[i].value = sum
	}
	return d, nil
}

// pick returns the pairs with these keys, in the order of the document.
func (d document) pick(keys []string) document {
	var picked document
	for _, p := range d {
		if slices.Contains(keys, p.key) {
			picked = append(picked, p)
		}
	}
	return picked
}

// text returns the lines, each with its line break.
func (d document) text() string {
	var b strings.Builder
	for _, p := range d {
		b.WriteString(p.key + "=" + p.value + "\n")
	}
	return b.String()
}

// add returns the sum of two decimal integers of any size, and whether they are such.
func add(a, b string) (string, bool) {
	x, ok := new(big.Int).SetString(a, 10)
	y, yok := new(big.Int).SetString(b, 10)
	if !ok || !yok {
		return "", false
	}
	return x.Add(x, y).String(), true
}

func isInteger(s string) bool {
	_, ok := new(big.Int).SetString(s, 10)
	return ok
}
