// Package docs tests that the code in the pages is code that is compiled and tested.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/motewire/coap/coaptest"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

var (
	goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	source  = regexp.MustCompile(`<!-- from (\S+) -->\n$`)
)

// Each block of Go code follows a line "<!-- from FILE -->" and is part of that file of the
// repository, line by line, but for indentation.
func TestCodeBlocks(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if strings.Count(text, "```go") != len(goBlock.FindAllString(text, -1)) {
			t.Errorf("%s: a block of Go code is not closed, or indented", page)
		}
		for _, at := range goBlock.FindAllStringSubmatchIndex(text, -1) {
			checked++
			line := 1 + strings.Count(text[:at[0]], "\n")
			from := source.FindStringSubmatch(text[:at[0]])
			if from == nil {
				t.Errorf("%s:%d: the block does not say what file it is from", page, line)
				continue
			}
			file, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(from[1])))
			if err != nil {
				t.Errorf("%s:%d: %v", page, line, err)
			} else if !strings.Contains(flat(string(file)), flat(text[at[2]:at[3]])) {
				t.Errorf("%s:%d: %s does not have these lines:\n%s", page, line, from[1], text[at[2]:at[3]])
			}
		}
	}
	if checked == 0 {
		t.Error("no block was looked at")
	}
}

// Links between the pages and into the repository lead to files that are there.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	pages, _ := filepath.Glob("*.md")
	for _, page := range append(pages, "../README.md", "../examples/README.md") {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// flat is text with each line's indentation removed, between two newlines.
func flat(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}
