package jsonscan

import (
	"bytes"
	"math/bits"
)

// str returns the offset behind the string that b[i] is in, right behind its
// first quote, or -1.
func str(b []byte, i int) int {
	if len(b)-i >= 16 { // a short way is quicker by words than with IndexByte
		p := (*[16]byte)(b[i:])
		m := equal(word(p[:]), quotes)
		if m == 0 {
			m = equal(word(p[8:]), quotes)
			i += 8
		}
		if m != 0 {
			i += bits.TrailingZeros64(m) / 8
			if b[i-1] != '\\' {
				return i + 1
			}
			return behindQuote(b, i)
		}
		i += 8
	}
	n := bytes.IndexByte(b[i:], '"')
	if n < 0 {
		return -1
	}
	return behindQuote(b, i+n)
}

// shortStr is str for strings of up to seven bytes without escapes, as most names
// are, and -1 for others. It is small enough to be inlined: those who meet many such
// strings ask it first.
func shortStr(b []byte, i int) int {
	if len(b)-i < 8 {
		return -1
	}
	m := equal(word(b[i:i+8:i+8]), quotes)
	i += bits.TrailingZeros64(m) / 8
	if m == 0 || b[i-1] == '\\' {
		return -1
	}
	return i + 1
}

// behindQuote is str given the offset of the string's first quote, escaped or not.
func behindQuote(b []byte, i int) int {
	if !oddBackslashes(b, i) {
		return i + 1
	}
	return longStr(b, pastEscaped(b, i+1))
}

// longStrs is longStr for a string that has been long so far. It goes past those
// behind it, too, while there is only a comma between and they are not short:
// lists are often of one kind. Dense says that b[i] is right behind an escaped
// quote, so more are to be expected.
func longStrs(b []byte, i int, dense bool) int {
	for {
		start := i
		if dense {
			i = pastEscaped(b, i)
		}
		i = longStr(b, i)
		if i-start < shortString || len(b)-i < 2 || b[i] != ',' || b[i+1] != '"' {
			return i
		}
		i += 2
	}
}

// shortString is how many bytes it takes for a string not to be short.
const shortString = 32

// longStr returns the offset behind the string that b[i] is in, anywhere behind
// its first quote, or -1.
func longStr(b []byte, i int) int {
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

// oddBackslashes reports whether b[i] is behind an odd number of backslashes. What
// ends a run of them, in a string the quote before at the latest, is none, so each
// is counted once in all.
func oddBackslashes(b []byte, i int) bool {
	n := i
	for n > 0 && b[n-1] == '\\' {
		n--
	}
	return (i-n)%2 == 1
}
