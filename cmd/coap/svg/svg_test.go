package svg

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// tokens reads a file as an XML parser does and returns its elements with what is in them.
func tokens(t *testing.T, file []byte) (elements []string, text string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(file))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements, text
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, file)
		}
		switch token := token.(type) {
		case xml.StartElement:
			elements = append(elements, token.Name.Local)
		case xml.CharData:
			text += string(token)
		}
	}
}

func TestPictureIsXML(t *testing.T) {
	var p Picture
	p.Line(Faint, 1, 2, 3, 4)
	p.Arrow(Good, 100, 10, 20)
	p.Bar(First, 0, 0, 10.26, 5)
	p.Path(Second, []float64{0, 1.25, 200}, []float64{0, 0, 50})
	p.Text(Bad, End, 5, 70, "</svg><script>&\x1b\xff")
	file := p.Bytes("a < b")
	elements, text := tokens(t, file)
	if got := strings.Join(elements, " "); got != "svg title style rect line line path rect path text" {
		t.Errorf("elements %s", got)
	}
	if !strings.Contains(text, "</svg><script>&\ufffd\ufffd") || !strings.Contains(text, "a < b") {
		t.Errorf("text %q", text)
	}
	for _, want := range []string{`width="212" height="86"`, `width="10.3"`, `d="M0,0L1.2,0L200,50"`, `"head good" d="M18,16L10,20L18,24"`} {
		if !bytes.Contains(file, []byte(want)) {
			t.Errorf("no %s in\n%s", want, file)
		}
	}
}
