package script

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// An Error says which field of a script is wrong, and where it stands.
type Error struct {
	File  string
	Line  int    // from 1
	Field string // such as resources[0].value.period; empty: the script itself
	Text  string // what is wrong, and what would be right
}

// Error puts all of it on one line.
func (e *Error) Error() string {
	where := fmt.Sprintf("%s:%d: ", e.File, e.Line)
	if e.Field != "" {
		where += e.Field + ": "
	}
	return where + e.Text
}

// A node is a JSON value that knows where it stands.
type node struct {
	line   int
	field  string
	scalar any // string, json.Number, bool or nil
	object map[string]*node
	names  []string // of object, in the order of the file
	array  []*node
	kind   string // "an object", "an array", "a string", "a number", "true or false", "null"
}

// A treeReader builds nodes of a file.
type treeReader struct {
	file string
	text []byte
	d    *json.Decoder
}

// readTree reads a file that holds one JSON value.
func readTree(file string, text []byte) (*node, error) {
	t := &treeReader{file: file, text: text, d: json.NewDecoder(bytes.NewReader(text))}
	t.d.UseNumber()
	n, err := t.value("", 0)
	if err != nil {
		return nil, t.syntax(err)
	}
	if _, err := t.d.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{file, t.line(), "", "something stands behind the end of the script"}
	}
	return n, nil
}

// line is where the reader is.
func (t *treeReader) line() int { return t.lineOf(t.d.InputOffset()) }

func (t *treeReader) lineOf(offset int64) int {
	return 1 + bytes.Count(t.text[:min(max(offset, 0), int64(len(t.text)))], []byte("\n"))
}

// syntax gives an error of the decoder its line.
func (t *treeReader) syntax(err error) error {
	var known *Error
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &syntax):
		return &Error{t.file, t.lineOf(syntax.Offset), "", syntax.Error()}
	}
	return &Error{t.file, t.line(), "", "the script ends in the middle of a value"}
}

// maxDepth is how deep values may be nested; scripts need four.
const maxDepth = 16

func (t *treeReader) value(field string, depth int) (*node, error) {
	token, err := t.d.Token()
	if err != nil {
		return nil, err
	}
	n := &node{line: t.line(), field: field, scalar: token}
	if depth > maxDepth {
		return nil, &Error{t.file, n.line, field, "nested too deep"}
	}
	switch v := token.(type) {
	case json.Delim:
		n.scalar = nil
		if v == '{' {
			return n, t.members(n, depth)
		}
		return n, t.elements(n, depth)
	case string:
		n.kind = "a string"
	case json.Number:
		n.kind = "a number"
	case bool:
		n.kind = "true or false"
	default:
		n.kind = "null"
	}
	return n, nil
}

func (t *treeReader) members(n *node, depth int) error {
	n.kind, n.object = "an object", map[string]*node{}
	for t.d.More() {
		token, err := t.d.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // the decoder takes nothing else here
		line := t.line()
		member, err := t.value(strings.TrimPrefix(n.field+"."+name, "."), depth+1)
		if err != nil {
			return err
		}
		if n.object[name] != nil {
			return &Error{t.file, line, member.field, "is there twice"}
		}
		n.object[name] = member
		n.names = append(n.names, name)
	}
	_, err := t.d.Token()
	return err
}

func (t *treeReader) elements(n *node, depth int) error {
	n.kind = "an array"
	for t.d.More() {
		element, err := t.value(n.field+"["+strconv.Itoa(len(n.array))+"]", depth+1)
		if err != nil {
			return err
		}
		n.array = append(n.array, element)
	}
	_, err := t.d.Token()
	return err
}
