package linkformat

import (
	"strings"
	"unicode/utf8"
)

// isTargetChar reports whether a byte can stand between the angle brackets. This is more
// than RFC 3986 allows in a URI reference, for links of real servers hold spaces and
// unencoded UTF-8: all but the brackets and control characters.
func isTargetChar(c byte) bool { return c >= ' ' && c != '<' && c != '>' && c != 0x7f }

// isNameChar is attr-char of RFC 5987 §3.2.1, of which names consist.
func isNameChar(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 }

// isTokenChar is ptokenchar of RFC 6690 §2.
func isTokenChar(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'()*+-./:<=>?@[]^_`{|}~", c) >= 0
}

func isLanguageChar(c byte) bool { return isAlphanumeric(c) || c == '-' }

func isAlphanumeric(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

// isControl is CTL of RFC 2616 §2.2 without the tab, which a quoted string can hold as
// it is.
func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// all reports whether s has bytes and class holds for each.
func all(s string, class func(byte) bool) bool {
	return s != "" && span(s, class) == len(s)
}

// span returns how many bytes at the beginning of s are of the class.
func span(s string, class func(byte) bool) int {
	for i := range len(s) {
		if !class(s[i]) {
			return i
		}
	}
	return len(s)
}

// invalidTarget returns the offset of the first byte that can't be in a target, or -1.
func invalidTarget(s string) int {
	if i := span(s, isTargetChar); i < len(s) {
		return i
	}
	return invalidUTF8(s)
}

// invalidUTF8 returns the offset of the first byte that is no part of a character, or -1.
func invalidUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}

// isCardinal is cardinal of RFC 6690 §2.
func isCardinal(s string) bool { return all(s, isDigit) && (s[0] != '0' || s == "0") }

// isExtValue is ext-value of RFC 5987 §3.2.1: charset'language'text, the language and the
// text possibly empty, the text percent-encoded.
func isExtValue(s string) bool {
	charset, rest, _ := strings.Cut(s, "'")
	language, text, ok := strings.Cut(rest, "'")
	if !ok || !all(charset, isNameChar) || language != "" && !all(language, isLanguageChar) {
		return false
	}
	for i := 0; i < len(text); i++ {
		switch {
		case isNameChar(text[i]):
		case text[i] == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			i += 2
		default:
			return false
		}
	}
	return true
}
