package extract

import (
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxID is the length in bytes of the longest session id.
const maxID = 256

// ID returns s as a session id, and whether it is fit to be one. Surrounding white space
// is trimmed, and a uuid is brought to lower case. An id has 1 to 256 bytes of printable
// UTF-8, without U+FFFD, which stands for a broken character. Placeholders are no ids, in
// upper or lower case: null, undefined, none, nil, new, default, unknown, NEW_SESSION (by
// which a client asks SageMaker for one), [object Object], nothing but zeros and hyphens
// (as the zero uuid), or a template that was never filled in (with {{ or ${).
//
// The built-in extractors pass all ids through it; so should yours.
func ID(s string) (string, bool) {
	if len(s) > 0 && len(s) <= maxID && plainID(s) && (len(s) > maxPlaceholder || !isPlaceholder(s)) {
		return s, true
	}
	return anyID(s)
}

// plainID is a quick test that most ids pass: if it is true, s is an id as it is, unless
// isPlaceholder says otherwise. s must not be empty. It is true if s is visible ASCII
// without braces, '|' and '~', is not all zeros and hyphens and, if it is as long as a
// uuid, has no capital letters. FuzzIDTheShortWay compares it with anyID.
func plainID(s string) bool {
	const (
		ones    = 0x0101010101010101
		highs   = 0x80 * ones
		letters = 0x40 * ones // the bit that letters have, but digits and hyphens have not
		small   = 0x20 * ones // the bit that small letters, digits and hyphens have, but capital letters have not
	)
	id, n := s, len(s)
	var w uint64 // the last eight bytes or, of a shorter s, all of them, some twice
	switch {
	case n >= 8:
		w = binary.LittleEndian.Uint64([]byte(s[n-8:])) // without a copy, since nothing is written to it
	case n >= 4:
		w = uint64(binary.LittleEndian.Uint32([]byte(s[:4]))) | uint64(binary.LittleEndian.Uint32([]byte(s[n-4:])))<<32
	default:
		w = uint64(s[0])*(ones>>16<<16) | uint64(s[n/2])<<8 | uint64(s[n-1])
	}
	// The high bit of each byte of visible is set if the byte is above the space, and
	// that of beyond if it is above 'z'. As long as all are ASCII, no sum carries into the
	// next byte; the first that is not ASCII shows in one or the other.
	visible, beyond, some, all := w+(0x80-'!')*ones, w+(0x7f-'z')*ones, w, w
	for ; len(s) > 8; s = s[8:] {
		w = binary.LittleEndian.Uint64([]byte(s[:8]))
		visible &= w + (0x80-'!')*ones
		beyond |= w + (0x7f-'z')*ones
		some |= w
		all &= w
	}
	return visible&^beyond&highs == highs &&
		(some&letters != 0 || !zeros(id)) &&
		(n != uuidLen || all&small == small)
}

// anyID is ID for any s, step by step. It says what an id is.
func anyID(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if len(s) == 0 || len(s) > maxID || !printable(s) || meansNoID(s) {
		return "", false
	}
	if isUUID(s) {
		s = strings.ToLower(s)
	}
	return s, true
}

// printable reports whether s is valid UTF-8 with nothing in it but printable characters,
// without U+FFFD: ids that differ only in broken characters would be one.
func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) < 0
}

// maxPlaceholder is the length of the longest of the placeholders.
const maxPlaceholder = len("[object Object]")

var placeholders = []string{"null", "undefined", "none", "nil", "new", "default", "unknown", "NEW_SESSION", "[object Object]"}

// meansNoID reports whether s is what clients send if they have no id.
func meansNoID(s string) bool {
	return zeros(s) || isPlaceholder(s) || strings.Contains(s, "{{") || strings.Contains(s, "${")
}

// zeros reports whether s has nothing but zeros and hyphens.
func zeros(s string) bool { return strings.Trim(s, "0-") == "" }

// isPlaceholder reports whether s is one of the placeholders, in any case.
func isPlaceholder(s string) bool {
	return slices.ContainsFunc(placeholders, func(p string) bool {
		return len(p) == len(s) && strings.EqualFold(p, s) // mostly the length rules it out
	})
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
