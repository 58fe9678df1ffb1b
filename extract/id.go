package extract

import (
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
	if len(s) > 0 && len(s) <= MaxID && plainID(s) && (len(s) > maxPlaceholder || !isPlaceholder(s)) {
		return s, true // as most are
	}
	return oddID(s)
}

// plainID reports whether it is plain that s, which is not empty, is an id as it
// stands unless it is a placeholder: ASCII without spaces or braces, no capital letters
// where it may be a uuid, and not only zeros.
func plainID(s string) bool {
	const (
		ones    = 0x0101010101010101
		highs   = 0x80 * ones
		letters = 0x40 * ones // the bit that letters have, and neither digits nor hyphens
		small   = 0x20 * ones // the bit that all of these have but capital letters
	)
	id, n := s, len(s)
	var w uint64 // the last eight bytes, or all that there are, some of them twice
	switch {
	case n >= 8:
		w = eightBytes(s[n-8:])
	case n >= 4:
		w = fourBytes(s) | fourBytes(s[n-4:])<<32
	default:
		w = uint64(s[0])*(ones>>16<<16) | uint64(s[n/2])<<8 | uint64(s[n-1])
	}
	// Of each byte the high bit tells. No byte carries into the next as long
	// as they are ASCII; the first that is not is not visible, or beyond.
	visible, beyond, some, all := w+(0x80-'!')*ones, w+(0x7f-'z')*ones, w, w
	for ; len(s) > 8; s = s[8:] {
		w = eightBytes(s)
		visible &= w + (0x80-'!')*ones
		beyond |= w + (0x7f-'z')*ones
		some |= w
		all &= w
	}
	return visible&^beyond&highs == highs &&
		(some&letters != 0 || !zeros(id)) &&
		(n != uuidLen || all&small == small)
}

func fourBytes(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// eightBytes returns the first eight of s as a word.
func eightBytes(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// oddID is ID, step by step.
func oddID(s string) (string, bool) {
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

// maxPlaceholder is the length of the longest of the words below.
const maxPlaceholder = len("[object Object]")

var placeholders = []string{"null", "undefined", "none", "nil", "new", "default", "[object Object]"}

func placeholder(s string) bool {
	return zeros(s) || isPlaceholder(s) || strings.Contains(s, "{{") || strings.Contains(s, "${")
}

// zeros reports whether s has nothing but zeros and hyphens.
func zeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' && s[i] != '-' {
			return false
		}
	}
	return true
}

// isPlaceholder reports whether s is one of the placeholders.
func isPlaceholder(s string) bool {
	for _, p := range placeholders {
		if len(p) == len(s) && strings.EqualFold(p, s) { // no letter of theirs has a longer form
			return true
		}
	}
	return false
}

const uuidLen = 36

// isUUID reports whether s has the form 8-4-4-4-12 hexadecimal digits.
func isUUID[S string | []byte](s S) bool {
	if len(s) != uuidLen {
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
	var room textRoom
	s, ok := textIn(raw, &room)
	return string(s), ok
}

// textRoom is room for a text that is written with escapes. Most that are looked
// at for ids fit in.
type textRoom [512]byte

// textIn is text, with room for the result if it must have some.
func textIn(raw []byte, room *textRoom) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' || len(raw) > maxRaw {
		return nil, false
	}
	return jsonscan.Text(raw[1:len(raw)-1], room[:]), true
}

// jsonID returns the id in raw, the text of a JSON value. Only strings are
// ids: a number, true or a list is a mistake that many clients would share.
func jsonID(raw []byte) (string, bool) {
	var room textRoom
	s, ok := textIn(raw, &room)
	if !ok || len(s) <= maxPlaceholder && placeholder(string(s)) { // which need not be kept
		return "", false
	}
	return ID(string(s))
}
