package files

import (
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/motewire/coap"
)

// nameOf returns what the path of a request names, relative to the directory and "." for
// that itself. slash says that the path ends in a slash. Not ok is a path that is not
// served, whatever is there.
func nameOf(r *coap.Request) (name string, slash, ok bool) {
	name = "."
	for segment := range r.Message().PathSegments() {
		if slash { // an empty segment that is not the last one
			return "", false, false
		}
		if slash = len(segment) == 0; slash {
			continue
		}
		if !served(string(segment)) {
			return "", false, false
		}
		name = path.Join(name, string(segment))
	}
	return name, slash, true
}

// served reports whether a name stands for itself on every system, and is not hidden.
func served(name string) bool {
	switch {
	case name == "" || name[0] == '.' || !utf8.ValidString(name):
		return false
	case strings.ContainsAny(name, `/\:`) || strings.ContainsFunc(name, unicode.IsControl):
		return false
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "): // Windows drops them
		return false
	}
	return !isDevice(name)
}

// devices are names that Windows takes for devices, in every directory.
var devices = []string{"con", "prn", "aux", "nul", "conin$", "conout$"}

// isDevice reports whether a name is that of a device, with whatever extension.
func isDevice(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToLower(strings.TrimRight(base, " "))
	if slices.Contains(devices, base) {
		return true
	}
	number, found := strings.CutPrefix(base, "com")
	if !found {
		number, found = strings.CutPrefix(base, "lpt")
	}
	return found && utf8.RuneCountInString(number) == 1 && strings.Contains("0123456789¹²³", number)
}
