package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendPlain appends the plain form of raw, the inside of a JSON string: quotes, backslashes
// and control characters are escaped, each in the shortest way, and nothing else is. There is one
// such form of each text, never longer than raw. From a \u that begins no valid escape on, raw
// is copied as it is: no reader takes such a text. As with AppendText, memory beyond the result
// may be overwritten.
func AppendPlain(dst, raw []byte) []byte {
	dst = slices.Grow(dst, len(raw))
	for {
		dst, raw = appendToLong(dst, raw)
		left := len(raw)
		if dst, raw = appendEscapes(dst, raw); len(raw) == left { // the end, or no escape
			return append(dst, raw...)
		}
	}
}

// appendToLong appends what comes before the first escape in raw that begins with \u or \/, and
// returns the rest. Most are near, so it copies the first few words while it looks at them.
func appendToLong(dst, raw []byte) (text, rest []byte) {
	const few = 8 * 8
	n, i := len(dst), 0
	for room := dst[n:cap(dst)]; i < few && i < len(raw)-8 && i <= len(room)-8; i += 8 {
		w := word(raw[i:])
		binary.LittleEndian.PutUint64(room[i:], w)
		for m := oddLetter(w, word(raw[i+1:])); m != 0; m &= m - 1 {
			if at := i + bits.TrailingZeros64(m)/8; longEscapeAt(raw, at) {
				return dst[:n+at], raw[at:]
			}
		}
	}
	at := longEscapeFrom(raw, i)
	if at < 0 {
		at = len(raw)
	}
	return append(dst[:n+i], raw[i:at]...), raw[at:]
}

// appendEscapes appends the plain form of what the escapes at the start of raw stand for, up to
// the first that does not begin with \u or \/ or is not valid, and returns the rest of raw.
func appendEscapes(dst, raw []byte) (text, rest []byte) {
	for len(raw) > 1 && raw[0] == '\\' {
		if raw[1] == '/' {
			dst, raw = append(dst, '/'), raw[2:]
			continue
		}
		if raw[1] != 'u' || len(raw) < 6 {
			break
		}
		r, ok := hex(raw[2], raw[3], raw[4], raw[5])
		if !ok {
			break
		}
		switch {
		case r < ' ':
			dst = appendControl(dst, byte(r))
		case r == '"', r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r))
		case utf16.IsSurrogate(r):
			r, n := escape(raw)
			dst, raw = utf8.AppendRune(dst, r), raw[n:]
			continue
		default: // texts in scripts other than Latin have nothing else
			dst, raw = appendWide(dst, raw)
			continue
		}
		raw = raw[6:]
	}
	return dst, raw
}

// appendControl appends the shortest escape of a control character.
func appendControl(dst []byte, c byte) []byte {
	switch c {
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
