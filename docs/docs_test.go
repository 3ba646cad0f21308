// Package docs tests that the code in the pages is code that is compiled and tested, and that
// what they link to is there. Package main of cmd/coap tests the command lines in them.
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

// pages returns every page of the repository.
func pages(t *testing.T) (pages []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "../*.md", "../*/*.md", "../testdata/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %d pages", pattern, err, len(found))
		}
		for _, page := range found {
			if !strings.HasPrefix(page, "../docs/") { // found by the first pattern
				pages = append(pages, page)
			}
		}
	}
	return pages
}

// Each block of Go code follows a line "<!-- from FILE -->" and is part of that file of the
// repository, line by line, but for indentation; or it is a whole program of the README,
// which TestReadmePrograms runs.
func TestCodeBlocks(t *testing.T) {
	checked := 0
	for _, page := range pages(t) {
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
			if page == "../README.md" && strings.HasPrefix(text[at[2]:], "package main\n") {
				continue
			}
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
	link := regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	for _, page := range pages(t) {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			to := filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))
			if m[1] == "" {
				to = page
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if m[2] != "" && !anchors(t, to)[m[2]] {
				t.Errorf("%s: %s has no %s", page, to, m[2])
			}
		}
	}
}

// anchors returns what a link to a page may end in.
func anchors(t *testing.T, page string) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(b), -1) {
		name := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		found["#"+strings.ReplaceAll(name, " ", "-")] = true
	}
	return found
}

// flat is text with each line's indentation removed, between two newlines.
func flat(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}
