package coap_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const conformanceTable = "docs/conformance.md"

// namedTest is how the tables name a test: `package.TestName`.
var namedTest = regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz|Example)\\w*)`")

// TestConformance holds docs/conformance.md to its word: every test it names exists, every
// row says what covers it or why nothing does, and the requirements extracted from the RFCs
// are all there, in their order.
func TestConformance(t *testing.T) {
	sections := conformanceRows(t, conformanceTable)
	checkCover(t, sections)
	files, _ := filepath.Glob("testdata/rfc*.txt")
	if len(files) != 10 {
		t.Errorf("%d RFCs to compare with: %q", len(files), files)
	}
	for _, file := range files {
		checkRequirements(t, file, sections)
	}
}

// checkCover checks that the tests exist that rows name, or that they say why there is none.
func checkCover(t *testing.T, sections map[string][]conformanceRow) {
	t.Helper()
	exists := map[string]map[string]bool{}
	for title, rows := range sections {
		for _, row := range rows {
			tests := namedTest.FindAllStringSubmatch(row.cover, -1)
			if len(tests) == 0 && !explained(row.cover) {
				t.Errorf("%s, %s: neither a test nor a reason: %q", title, row.id, row.cover)
			}
			for _, name := range tests {
				if exists[name[1]] == nil {
					exists[name[1]] = testsOf(t, name[1])
				}
				if !exists[name[1]][name[2]] {
					t.Errorf("%s, %s: there is no %s in package %s", title, row.id, name[2], name[1])
				}
			}
		}
	}
}

// The README says how many requirements docs/conformance.md lists, rounded down.
func TestReadmeCountsRequirements(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for title, rows := range conformanceRows(t, conformanceTable) {
		if strings.HasPrefix(title, "RFC ") {
			n += len(rows)
		}
	}
	if want := fmt.Sprintf("[%d requirements](docs/conformance.md)", n/10*10); !strings.Contains(string(page), want) {
		t.Errorf("the README does not say %q: there are %d", want, n)
	}
}

// TestGuaranteesNameTests holds the guarantees of docs/limits.md to tests that exist.
func TestGuaranteesNameTests(t *testing.T) {
	page, err := os.ReadFile("docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	_, guarantees, _ := strings.Cut(string(page), "## Guarantees\n")
	guarantees, _, _ = strings.Cut(guarantees, "\n## ")
	rows := strings.Split(strings.TrimSpace(guarantees), "\n")
	if len(rows) < 12 {
		t.Fatalf("%d rows", len(rows))
	}
	exists := map[string]map[string]bool{}
	for _, row := range rows[2:] {
		tests := namedTest.FindAllStringSubmatch(row, -1)
		if len(tests) == 0 {
			t.Errorf("no test holds %s", row)
		}
		for _, name := range tests {
			if exists[name[1]] == nil {
				exists[name[1]] = testsOf(t, name[1])
			}
			if !exists[name[1]][name[2]] {
				t.Errorf("there is no %s in package %s", name[2], name[1])
			}
		}
	}
}

// A conformanceRow is one line of a table.
type conformanceRow struct{ id, requirement, cover string }

// explained reports whether a row without a test says why.
func explained(cover string) bool {
	for _, word := range []string{"not applicable: ", "departed: "} {
		if why, ok := strings.CutPrefix(cover, word); ok && len(why) > 5 {
			return true
		}
	}
	return false
}

// conformanceRows returns the rows of a file's tables by the title above them.
func conformanceRows(t *testing.T, file string) map[string][]conformanceRow {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	unescape := strings.NewReplacer(`\|`, "|", `\<`, "<", `\*`, "*")
	sections, title, body := map[string][]conformanceRow{}, "", false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			title, body = heading, false
		}
		if !strings.HasPrefix(line, "|") {
			continue
		}
		if strings.HasPrefix(line, "|---") {
			body = true
			continue
		}
		if !body {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 3 {
			t.Errorf("%s: a row of %d cells: %s", title, len(cells), line)
			continue
		}
		sections[title] = append(sections[title], conformanceRow{cells[0], unescape.Replace(cells[1]), cells[2]})
	}
	return sections
}

// checkRequirements compares the lines of a file, number and sentence, with the rows of their
// table that have a number.
func checkRequirements(t *testing.T, file string, sections map[string][]conformanceRow) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	name := "RFC " + strings.TrimPrefix(strings.TrimSuffix(filepath.Base(file), ".txt"), "rfc") + ":"
	var rows []conformanceRow
	for title, r := range sections {
		if strings.HasPrefix(title, name) {
			rows = slices.DeleteFunc(slices.Clone(r), func(row conformanceRow) bool { return !strings.Contains(row.id, "-") })
		}
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(rows) != len(lines) {
		t.Errorf("%s: %d rows, want %d", name, len(rows), len(lines))
	}
	for i := range min(len(rows), len(lines)) {
		if id, sentence, _ := strings.Cut(lines[i], "\t"); rows[i].id != id || rows[i].requirement != sentence {
			t.Fatalf("%s row %d is\n%s %s\nwant\n%s %s", name, i, rows[i].id, rows[i].requirement, id, sentence)
		}
	}
}

// testsOf returns the tests, fuzz targets and examples of a package by its name.
func testsOf(t *testing.T, name string) map[string]bool {
	t.Helper()
	dir := name
	if name == "coap" {
		dir = "."
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	found := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				found[fn.Name.Name] = true
			}
		}
	}
	return found
}

// TestHostileTable holds docs/hostile.md to its word: each attack and each fault has tests, and
// they exist.
func TestHostileTable(t *testing.T) {
	sections := conformanceRows(t, "docs/hostile.md")
	checkCover(t, sections)
	rows := 0
	for title, all := range sections {
		for _, row := range all {
			if rows++; !namedTest.MatchString(row.cover) {
				t.Errorf("%s, %s: no test", title, row.id)
			}
		}
	}
	if rows < 45 {
		t.Errorf("%d rows", rows)
	}
}
