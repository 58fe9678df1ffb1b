package jsonscan

import (
	"bytes"
	"math/bits"
)

// endOfString returns where a string ends, given the offset right after its first
// quote, or -1. It looks at the first 16 bytes by words, and leaves what is longer
// to bytes.IndexByte and, once there are escaped quotes, to pastEscaped.
func endOfString(b []byte, i int) int {
	if len(b)-i >= 16 { // words are quicker than IndexByte for a short string
		p := (*[16]byte)(b[i : i+16 : i+16])
		m := equal(word(p[:]), eightQuotes)
		if m == 0 {
			m = equal(word(p[8:]), eightQuotes)
			i += 8
		}
		if m != 0 {
			i += bits.TrailingZeros64(m) / 8
			if b[i-1] != '\\' {
				return i + 1
			}
			return endFromQuote(b, i)
		}
		i += 8
	}
	n := bytes.IndexByte(b[i:], '"')
	if n < 0 {
		return -1
	}
	return endFromQuote(b, i+n)
}

// endFromQuote is endOfString given the offset of the first quote after the opening
// one, which may be escaped.
func endFromQuote(b []byte, i int) int {
	if !oddBackslashes(b, i) {
		return i + 1
	}
	return endOfLongString(b, pastEscaped(b, i+1))
}

// endOfLongStrings is endOfLongString for a string that has been long so far. In a
// list, the next strings are often long as well. So it goes on past them, as long as the
// last one was long and there is only a comma before the next. It returns where the last
// of them ends, or -1.
//
// escaped says that b[i] is right after an escaped quote, so that more of these are
// to be expected in this string and the next.
func endOfLongStrings(b []byte, i int, escaped bool) int {
	for {
		start := i
		if escaped {
			i = pastEscaped(b, i)
		}
		i = endOfLongString(b, i)
		if i-start < longString || len(b)-i < 2 || b[i] != ',' || b[i+1] != '"' {
			return i
		}
		i += 2
	}
}

// longString is the length from which a string counts as long.
const longString = 32

// endOfLongString returns where a string ends, given an offset anywhere after its
// first quote, or -1.
func endOfLongString(b []byte, i int) int {
	for i < len(b) {
		if b[i] != '"' {
			n := bytes.IndexByte(b[i:], '"')
			if n < 0 {
				return -1
			}
			i += n
		}
		if !oddBackslashes(b, i) {
			return i + 1
		}
		i = pastEscaped(b, i+1)
	}
	return -1
}

// oddBackslashes reports whether there is an odd number of backslashes right before b[i],
// so that in a string b[i] is escaped. Over a whole text it takes linear time, since callers
// ask only a few times for each run of backslashes: at its end, and where a block begins in
// which it ends.
func oddBackslashes(b []byte, i int) bool {
	n := i
	for n > 0 && b[n-1] == '\\' {
		n--
	}
	return (i-n)%2 == 1
}
