package coap_test

import (
	"os"
	slashpath "path"
	"regexp"
	"strings"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
)

func TestMain(m *testing.M) {
	coap.Poison()
	coaptest.Main(m)
}

// Every package that has tests looks for goroutines that they leave behind.
func TestEveryPackageChecksForLeaks(t *testing.T) {
	checks := map[string]bool{}
	for file := range moduleImports(t) {
		if !strings.HasSuffix(file, "_test.go") {
			continue
		}
		dir := slashpath.Dir(file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, main, found := strings.Cut(string(text), "\nfunc TestMain(m *testing.M) {")
		main, _, _ = strings.Cut(main, "}")
		checks[dir] = checks[dir] || found && leakCheck.MatchString(main)
	}
	for dir, has := range checks {
		if !has {
			t.Errorf("package %s has tests and no TestMain that calls coaptest.Main or leak.Main", dir)
		}
	}
	if len(checks) < 25 {
		t.Errorf("%d packages with tests were looked at", len(checks))
	}
}

// leakCheck is what a TestMain calls; package leak calls its own.
var leakCheck = regexp.MustCompile(`(\bcoaptest\.|\bleak\.|^ )Main\(m\)`)
