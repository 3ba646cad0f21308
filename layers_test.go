package coap_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	slashpath "path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/motewire/coap"

// layers lists what each package may import beyond the standard library: packages of this
// module by their folder, others by their path's beginning. To add an arrow, change the
// table in review. Tests may besides import what testing needs.
var layers = map[string][]string{
	"message":     nil,
	"peer":        nil,
	"linkformat":  nil,
	"transport":   {"peer", "golang.org/x/net", "golang.org/x/sys"},
	"reliability": {"message", "peer"},
	"observe":     {"message", "peer"},
	"blockwise":   {"message", "peer"},
	".":           {"message", "peer", "linkformat", "transport", "reliability", "observe", "blockwise"},

	"problem":             {".", "message", "github.com/fxamacker/cbor/v2"},
	"pcapng":              {"github.com/gopacket/gopacket"},
	"transport/simnet":    {"peer", "transport"},
	"coaptest":            {".", "message", "transport", "transport/simnet", "internal/leak"},
	"fuzz":                nil, // tests alone
	"internal/leak":       nil, // for tests alone
	"internal/load":       {"message", "peer", "transport", "golang.org/x/sys"},
	"internal/transcript": nil, // for tests alone
	"internal/storm":      nil,
	"internal/soak":       {".", "message", "peer", "transport", "internal/storm"},
	"cmd/coap": {".", "message", "linkformat", "transport", "pcapng", "cmd/coap/cost", "cmd/coap/demo", "cmd/coap/files", "cmd/coap/lab",
		"cmd/coap/ladder", "cmd/coap/overhttp", "cmd/coap/plugtest", "cmd/coap/script", "cmd/coap/senml", "cmd/coap/svg", "internal/load",
		"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/gopacket/gopacket", "github.com/fxamacker/cbor/v2", "golang.org/x/term"},
	"cmd/coap/cost":     {"cmd/coap/svg"},
	"cmd/coap/demo":     {".", "message", "transport", "cmd/coap/lab", "cmd/coap/overhttp"},
	"cmd/coap/files":    {".", "message", "linkformat"},
	"cmd/coap/lab":      {".", "message", "linkformat"},
	"cmd/coap/ladder":   {"message", "cmd/coap/svg"},
	"cmd/coap/overhttp": {"message"},
	"cmd/coap/plugtest": {".", "message", "linkformat", "observe"},
	"cmd/coap/script":   {".", "message", "github.com/fxamacker/cbor/v2"},
	"cmd/coap/senml":    {"github.com/fxamacker/cbor/v2"},
	"cmd/coap/svg":      nil,

	"docs":                 nil, // tests alone
	"examples":             nil, // tests alone
	"examples/client":      {".", "message"},
	"examples/codec":       {"message"},
	"examples/concurrent":  {".", "transport"},
	"examples/discover":    {".", "linkformat"},
	"examples/fleet":       {".", "transport", "transport/simnet"},
	"examples/handlertest": {".", "message"},
	"examples/multicast":   {".", "transport", "transport/simnet"},
	"examples/observe":     {"."},
	"examples/separate":    {".", "message", "transport"},
	"examples/server":      {".", "message", "transport"},
	"examples/upload":      {".", "message"},
}

// forTests is what any test may import besides what its package may, and its package.
var forTests = []string{"pgregory.net/rapid", "github.com/google/go-cmp", "message", "peer", "transport", "transport/simnet", "internal/leak", "internal/transcript"}

// testHelpers may import the package testing outside test files.
var testHelpers = []string{"coaptest", "internal/leak", "internal/transcript"}

// aboveRoot may also import the root package and coaptest in its tests: what they import.
var aboveRoot = []string{".", "coaptest", "problem", "fuzz", "cmd/coap", "cmd/coap/demo", "cmd/coap/files", "cmd/coap/lab", "cmd/coap/plugtest", "cmd/coap/script", "internal/load", "internal/soak", "internal/storm",
	"docs", "examples", "examples/handlertest"}

// withoutIO are the standard library's packages that no protocol package imports, as time
// and randomness come in and events go out.
var withoutIO = []string{"net", "os", "sync", "log", "io/fs", "context", "crypto/rand", "syscall"}

var protocol = []string{"message", "linkformat", "reliability", "observe", "blockwise"}

func TestLayers(t *testing.T) {
	found := map[string]bool{}
	for file, imports := range moduleImports(t) {
		dir := slashpath.Dir(file)
		found[dir] = true
		allowed, listed := layers[dir]
		if !listed {
			t.Errorf("package %s is not in the table", dir)
			continue
		}
		test := strings.HasSuffix(file, "_test.go")
		if test {
			allowed = slices.Concat(allowed, forTests, []string{dir})
			if slices.Contains(aboveRoot, dir) {
				allowed = append(allowed, ".", "coaptest", "linkformat", "reliability")
			}
		}
		for _, imported := range imports {
			if why := forbidden(dir, imported, allowed, test); why != "" {
				t.Errorf("%s imports %s: %s", file, imported, why)
			}
		}
	}
	for _, dir := range []string{".", "message", "transport", "reliability", "linkformat", "coaptest"} {
		if !found[dir] {
			t.Errorf("package %s was not looked at", dir)
		}
	}
}

// docs/architecture.md shows the layers as the table has them.
func TestArchitectureShowsLayers(t *testing.T) {
	page, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| [^|]+ \\| ([^|]+) \\|$").FindAllStringSubmatch(string(page), -1)
	for _, row := range rows {
		dir, shown := row[1], strings.Split(strings.ReplaceAll(row[2], "`", ""), ", ")
		if dir == "coap" {
			dir = "."
		}
		ours := []string{"none"}
		for _, imported := range layers[dir] {
			if !strings.Contains(imported, ".") {
				ours = append(ours, imported)
			}
		}
		if len(ours) > 1 {
			ours = ours[1:]
		}
		if !slices.Equal(shown, ours) {
			t.Errorf("%s: the page says %q, the table %q", row[1], shown, ours)
		}
	}
	if len(rows) != 8 {
		t.Errorf("%d packages", len(rows))
	}
}

// forbidden says why a package may not import another one; empty: it may.
func forbidden(dir, imported string, allowed []string, test bool) string {
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") { // the standard library
		switch {
		case test:
		case imported == "testing" && !slices.Contains(testHelpers, dir):
			return "only coaptest and helpers within the module are for tests"
		case slices.Contains(protocol, dir) && slices.Contains(withoutIO, imported):
			return "a protocol package has no I/O, no lock, no context and no randomness of its own"
		}
		return ""
	}
	for _, a := range allowed {
		if !strings.Contains(a, ".") || a == "." {
			if a = slashpath.Join(module, a); imported == a {
				return ""
			}
		} else if imported == a || strings.HasPrefix(imported, a+"/") {
			return ""
		}
	}
	return "not in the table of layers"
}

// moduleImports returns the imports of each Go file of the module, for all systems.
func moduleImports(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return skip(file)
		case filepath.Ext(file) != ".go":
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		list := []string{}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			list = append(list, imported)
		}
		imports[filepath.ToSlash(file)] = list
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}

// skip leaves out folders that are no packages of this module.
func skip(dir string) error {
	base := filepath.Base(dir)
	if base == "testdata" || dir != "." && strings.HasPrefix(base, ".") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil && dir != "." {
		return fs.SkipDir // a module of its own
	}
	return nil
}
