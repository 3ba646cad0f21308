package coap_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wallClock are the functions and methods of package time that go by the clock on the wall, or
// have the result go by it, as it has no monotonic reading.
var wallClock = []string{"AddDate", "In", "Round", "Truncate", "UTC", "Unix", "UnixMicro", "UnixMilli", "UnixNano", "ParseInLocation"}

// onTheWall are the places that want it so, or have a method of that name that has nothing to
// do with time.
var onTheWall = map[string]string{
	"observe/sequence.go UnixMilli": "numbers go on ascending when a server is started again; after that they follow the monotonic clock",
	"rate.go Truncate":              "of a duration",
	"transport/listen.go Unix":      "a deadline that is over, by any clock",
	"transport/simnet/tap.go UTC":   "a line for people",
}

// A clock on the wall is set, back and forth. Nothing that the library measures follows it:
// every moment in it comes from time.Now, by way of now, keeps its monotonic reading and is
// compared with others by it.
func TestNoWallClock(t *testing.T) {
	used, looked := map[string]bool{}, 0
	for _, dir := range []string{".", "reliability", "observe", "blockwise", "transport", "transport/simnet", "peer"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			looked++
			for _, place := range wallClockUses(t, file) {
				if used[place] = true; onTheWall[place] == "" {
					t.Errorf("%s: a time without its monotonic reading", place)
				}
			}
		}
	}
	for place := range onTheWall {
		if !used[place] {
			t.Errorf("%s is gone", place)
		}
	}
	if looked < 80 {
		t.Errorf("%d files were looked at", looked)
	}
}

// wallClockUses returns where a file may use the clock on the wall, as file and name.
func wallClockUses(t *testing.T, file string) (places []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(wallClock, s.Sel.Name) {
			places = append(places, filepath.ToSlash(file)+" "+s.Sel.Name)
		}
		return true
	})
	return places
}
