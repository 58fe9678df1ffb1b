package extract

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// MaxID is the length in bytes of the longest session id.
const MaxID = 256

// maxRaw bounds the strings that are unescaped to look for an id in them. A
// legacy metadata.user_id may be longer than the id that is cut out of it.
const maxRaw = 16 << 10

// ID returns s as a session id, and whether it is fit to be one. Surrounding
// white space is trimmed and a uuid brought to lower case. An id has 1 to
// MaxID bytes of printable UTF-8 and is not a placeholder: null, undefined,
// none, nil, new, default, [object Object], nothing but zeros (as in the zero
// uuid), or a template that was never filled in ({{...}} or ${...}).
//
// The built-in extractors hold all ids to it; so should yours.
func ID(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if len(s) == 0 || len(s) > MaxID || !printable(s) || placeholder(s) {
		return "", false
	}
	if isUUID(s) {
		s = strings.ToLower(s)
	}
	return s, true
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' {
			return printableRunes(s[i:])
		}
	}
	return true
}

func printableRunes(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

var placeholders = []string{"null", "undefined", "none", "nil", "new", "default", "[object Object]"}

func placeholder(s string) bool {
	if strings.Contains(s, "{{") || strings.Contains(s, "${") {
		return true
	}
	if strings.Trim(s, "0-") == "" {
		return true
	}
	for _, p := range placeholders {
		if strings.EqualFold(s, p) {
			return true
		}
	}
	return false
}

// isUUID reports whether s has the form 8-4-4-4-12 hexadecimal digits.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// text returns the string that raw, the text of a JSON value, stands for. It
// reports false for values of other types and for strings beyond maxRaw.
func text(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' || len(raw) > maxRaw {
		return "", false
	}
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw), true
	}
	return string(jsonscan.AppendText(nil, raw)), true
}

// jsonID returns the id in raw, the text of a JSON value. Only strings are
// ids: a number, true or a list is a mistake that many clients would share.
func jsonID(raw []byte) (string, bool) {
	s, ok := text(raw)
	if !ok {
		return "", false
	}
	return ID(s)
}
