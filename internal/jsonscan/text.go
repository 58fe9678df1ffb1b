package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// Text returns the text that raw, the inside of a JSON string, stands for: raw itself if it
// has no escapes, and otherwise what AppendText makes of it, in room if that is as large as raw.
func Text(raw, room []byte) []byte {
	if backslash(raw) < 0 {
		return raw
	}
	return AppendText(room[:0], raw)
}

// AppendText appends the text that raw, the inside of a JSON string, stands for. A
// backslash that begins no valid escape is taken literally, together with the byte
// after it; half a surrogate pair becomes U+FFFD. The text is never longer than raw.
// It may write anywhere within the capacity of dst, even beyond the result, so dst must
// not share memory with raw.
func AppendText(dst, raw []byte) []byte {
	dst = slices.Grow(dst, len(raw))
	for {
		if len(raw) > 0 && raw[0] != '\\' {
			dst, raw = appendToBackslash(dst, raw)
		}
		if len(raw) < 2 {
			return append(dst, raw...)
		}
		if c := shortEscapes[raw[1]]; c != 0 {
			dst, raw = append(dst, c), raw[2:]
			continue
		}
		r, n := escape(raw)
		if n == 0 { // no escape, though it begins like one
			dst, raw = append(dst, raw[0], raw[1]), raw[2:]
			continue
		}
		dst = utf8.AppendRune(dst, r)
		if raw = raw[n:]; r >= utf8.RuneSelf {
			dst, raw = appendWide(dst, raw)
		}
	}
}

// appendToBackslash appends what comes before the first backslash in raw, and returns the rest.
// Most backslashes are near, so it copies the first few words while it looks at them.
func appendToBackslash(dst, raw []byte) (text, rest []byte) {
	const few = 4 * 8
	n, i := len(dst), 0
	for room := dst[n:cap(dst)]; i < few && i <= len(raw)-8 && i <= len(room)-8; i += 8 {
		w := word(raw[i:])
		binary.LittleEndian.PutUint64(room[i:], w)
		if m := equal(w, eightBackslashes); m != 0 {
			i += bits.TrailingZeros64(m) / 8
			return dst[:n+i], raw[i:]
		}
	}
	end := len(raw)
	if m := backslash(raw[i:]); m >= 0 {
		end = i + m
	}
	return append(dst[:n+i], raw[i:end]...), raw[end:]
}

// appendWide appends the characters that the \uXXXX at the start of raw stand for, up
// to the first that is ASCII or a surrogate, and returns the rest of raw. It is the
// quick way through texts in scripts other than Latin, which some clients write entirely
// in such escapes.
func appendWide(dst, raw []byte) (text, rest []byte) {
	for len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u' {
		r, ok := hex(raw[2], raw[3], raw[4], raw[5])
		switch {
		case !ok || r < utf8.RuneSelf || utf16.IsSurrogate(r):
			return dst, raw
		case r < 0x800: // two bytes in UTF-8
			dst = append(dst, 0xc0|byte(r>>6), 0x80|byte(r&0x3f))
		default:
			dst = append(dst, 0xe0|byte(r>>12), 0x80|byte(r>>6&0x3f), 0x80|byte(r&0x3f))
		}
		raw = raw[6:]
	}
	return dst, raw
}

// escape returns the character that the escape at the start of raw stands for, and the
// length of that escape: 12 for a surrogate pair. The length is 0 if raw does not start
// with a valid escape. Half a surrogate pair is valid and stands for U+FFFD.
func escape(raw []byte) (r rune, n int) {
	if len(raw) < 2 || raw[0] != '\\' {
		return 0, 0
	}
	if c := shortEscapes[raw[1]]; c != 0 {
		return rune(c), 2
	}
	if len(raw) < 6 || raw[1] != 'u' {
		return 0, 0
	}
	r, ok := hex(raw[2], raw[3], raw[4], raw[5])
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		low, ok := hex4(raw[6:])
		if r = utf16.DecodeRune(r, low); ok && r != utf8.RuneError {
			return r, 12
		}
		r = utf8.RuneError
	}
	return r, 6
}

// shortEscapes has the character that each byte stands for after a backslash, or 0.
var shortEscapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// hex4 reads \uXXXX at the start of raw, and reports whether that is there.
func hex4(raw []byte) (r rune, ok bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	return hex(raw[2], raw[3], raw[4], raw[5])
}

// hex returns the number that four hexadecimal digits stand for, and whether all of
// them are such digits.
func hex(w, x, y, z byte) (r rune, ok bool) {
	a, b, c, d := hexDigits[w], hexDigits[x], hexDigits[y], hexDigits[z]
	return rune(a&15)<<12 | rune(b&15)<<8 | rune(c&15)<<4 | rune(d&15), a&b&c&d != 0
}

// hexDigits has the value of each hexadecimal digit plus 16, a bit that hex looks for, and
// 0 for all other bytes.
var hexDigits = [256]byte{
	'0': 16, '1': 17, '2': 18, '3': 19, '4': 20, '5': 21, '6': 22, '7': 23, '8': 24, '9': 25,
	'a': 26, 'b': 27, 'c': 28, 'd': 29, 'e': 30, 'f': 31,
	'A': 26, 'B': 27, 'C': 28, 'D': 29, 'E': 30, 'F': 31,
}
