package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// inText are the words between backticks that are names in Go: package, type or variable, and what
// is in it.
var inText = regexp.MustCompile("`(?:\\*|&)?(\\w+)\\.([A-Z]\\w*)")

// variables are what the pages call values of a type.
var variables = map[string]string{
	"client": "Client", "server": "Server", "mux": "Mux", "resp": "Response", "w": "ResponseWriter", "r": "Request",
	"Messages": "reliability.Stats", "Observations": "observe.Stats", "Uploads": "blockwise.Stats", "Responses": "blockwise.StoreStats",
	"Config": "transport.Config", "RespondOptions": "reliability.RespondOptions", "NotifyPolicy": "observe.Policy", "Params": "reliability.Params",
}

// foreign are names of the standard library and of go-coap.
var foreign = map[string]bool{
	"http.ServeMux": true, "netip.AddrPort": true, "net.DefaultResolver": true, "errors.Is": true,
	"udp.Dial": true, "conn.Get": true, "conn.Observe": true, "obs.Cancel": true, "resp.ReadBody": true, "pool.Message": true,
	"mux.Router": true, "r.Handle": true, "w.SetResponse": true, "runtime.Goexit": true, "context.Context": true, "io.Copy": true, "net.UDPConn": true,
}

// Every name of Go in the pages' text is one of this module's, or of those that are known to be of
// others.
func TestNamesInText(t *testing.T) {
	names := exported(t)
	checked := 0
	for _, page := range pages(t) {
		if strings.HasPrefix(page, "conformance") || strings.Contains(page, "testdata") {
			continue // names tests, which another test looks at
		}
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(string(b), "")
		for _, m := range inText.FindAllStringSubmatch(text, -1) {
			of, name := m[1], m[2]
			if foreign[of+"."+name] || regexp.MustCompile(`^(Test|Fuzz|Benchmark)`).MatchString(name) {
				continue
			}
			if typ, ok := variables[of]; ok {
				of = typ
			}
			checked++
			if !names[of+"."+name] && !names["coap."+of+"."+name] {
				t.Errorf("%s: there is no %s.%s", page, of, name)
			}
		}
	}
	if checked < 150 {
		t.Errorf("%d names", checked)
	}
}

// exported returns what packages export: package.Name, package.Type.Field, package.Type.Method.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range []string{".", "message", "reliability", "observe", "blockwise", "linkformat", "transport", "coaptest", "pcapng", "problem"} {
		files, _ := filepath.Glob(filepath.Join("..", dir, "*.go"))
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				addDecl(names, f.Name.Name, d)
			}
		}
	}
	return names
}

func addDecl(names map[string]bool, pkg string, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		names[pkg+"."+receiver(d)+d.Name.Name] = true
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names[pkg+"."+n.Name] = true
				}
			case *ast.TypeSpec:
				names[pkg+"."+s.Name.Name] = true
				addMembers(names, pkg+"."+s.Name.Name+".", s.Type)
			}
		}
	}
}

// receiver returns the type of a method with a dot, empty for a function.
func receiver(d *ast.FuncDecl) (name string) {
	if d.Recv == nil {
		return ""
	}
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name + "." // type parameters come behind
		}
		return name == ""
	})
	return name
}

// addMembers adds the fields of a struct, the methods of an interface.
func addMembers(names map[string]bool, prefix string, typ ast.Expr) {
	var list *ast.FieldList
	switch typ := typ.(type) {
	case *ast.StructType:
		list = typ.Fields
	case *ast.InterfaceType:
		list = typ.Methods
	default:
		return
	}
	for _, f := range list.List {
		for _, n := range f.Names {
			names[prefix+n.Name] = true
		}
	}
}
