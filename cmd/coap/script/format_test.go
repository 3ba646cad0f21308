package script

import (
	"regexp"
	"strings"
	"testing"
)

// The example of the manual is a script, and the manual has every field.
func TestFormat(t *testing.T) {
	_, example, _ := strings.Cut(Format, "\n\n")
	example, fields, _ := strings.Cut(example, "\n\n")
	s, err := Parse("format.txt", []byte(example))
	if err != nil || len(s.resources) != 1 {
		t.Fatalf("%v, %v", s, err)
	}
	for _, object := range []string{
		`{"x": 1, "resources": []}`,
		resourceOf(`"x": 1`), resourceOf(`"delay": {"most": "1s", "x": 1}`), resourceOf(`"errors": [{"x": 1}]`),
		resourceOf(`"every": "1s", "notify": {"x": 1}`), valueOf(`"kind": "constant", "value": 1`),
		valueOf(`"kind": "ramp", "from": 1, "to": 2, "over": "1s"`), valueOf(`"kind": "sine", "amplitude": 1, "period": "1s"`),
		valueOf(`"kind": "walk", "start": 1, "step": 1`),
		valueOf(`"kind": "csv", "file": "../../../../examples/scripts/light.csv", "column": "lux"`),
	} {
		_, err := Parse("testdata/x", []byte(object))
		if err == nil || !strings.Contains(err.Error(), "no such field here; there are ") {
			t.Errorf("%s: %v", object, err)
			continue
		}
		_, names, _ := strings.Cut(err.Error(), "there are ")
		for _, name := range strings.Split(names, ", ") {
			if !regexp.MustCompile(`\b`+name+`\b`).MatchString(fields) && name != "resources" {
				t.Errorf("no %s in the manual", name)
			}
		}
	}
}

func resourceOf(field string) string {
	return `{"resources": [{"path": "/x", "value": {"kind": "constant", "value": 1}, ` + field + `}]}`
}

func valueOf(value string) string {
	return `{"resources": [{"path": "/x", "every": "1s", "value": {` + value + `, "x": 1}}]}`
}
