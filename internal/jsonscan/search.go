package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// backslash returns the offset of the first backslash in b, or -1. Over the first 16
// bytes words are quicker than IndexByte, which is at its best over long distances.
func backslash(b []byte) int {
	if len(b) < 8 {
		if len(b) >= 4 {
			first, last := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[len(b)-4:])
			if equal(uint64(first)|uint64(last)<<32, eightBackslashes) == 0 {
				return -1
			}
		}
		for i, c := range b {
			if c == '\\' {
				return i
			}
		}
		return -1
	}
	if m := equal(word(b), eightBackslashes); m != 0 {
		return bits.TrailingZeros64(m) / 8
	}
	if len(b) < 16 {
		last := len(b) - 8
		if m := equal(word(b[last:]), eightBackslashes); m != 0 {
			return last + bits.TrailingZeros64(m)/8
		}
		return -1
	}
	if m := equal(word(b[8:]), eightBackslashes); m != 0 {
		return 8 + bits.TrailingZeros64(m)/8
	}
	n := bytes.IndexByte(b[16:], '\\')
	if n < 0 {
		return -1
	}
	return 16 + n
}

// QuoteBefore returns the offset of the first quote in b that has the byte c exactly far
// bytes after it, or -1. This finds a candidate for a member's name quickly: the caller
// picks the byte of the name that is rarest in other texts, passes that and its distance
// from the quote, and compares the rest itself.
func QuoteBefore(b []byte, far int, c byte) int { return findPair(b, far, '"', c) }

// LineBreak returns the offset of the first line break in raw, the inside of a JSON string,
// as most writers escape it: of a backslash with an 'n' right after it, or -1. (It does not
// check whether the backslash is itself escaped.)
func LineBreak(raw []byte) int { return findPair(raw, 1, '\\', 'n') }

// findPair returns the offset of the first byte in b that is first and has second exactly far
// bytes after it, or -1.
func findPair(b []byte, far int, first, second byte) int {
	for i := pair(b, far, first, second); i < len(b)-far; i++ {
		if b[i] == first && b[i+far] == second {
			return i
		}
	}
	return -1
}

// LongEscape returns the offset of the first escape in raw, the inside of a JSON string, that
// begins with \u or \/, or -1. All others are written in the shortest way.
//
// Of the bytes that may come after a backslash, 'u' and '/' are odd numbers in ASCII,
// and all others, "\bfnrt, are even. So the lowest bit tells which places need a second
// look: see oddLetters in block.go.
func LongEscape(raw []byte) int { return longEscapeFrom(raw, 0) }

// longEscapeFrom is LongEscape if it is known that none begins before raw[i].
func longEscapeFrom(raw []byte, i int) int {
	for len(raw)-i > blockSize {
		if i += oddLetters(raw[i:]); len(raw)-i <= blockSize {
			break
		}
		for m := backslashes((*[blockSize]byte)(raw[i:])); m != 0; m &= m - 1 {
			if at := i + bits.TrailingZeros64(m); longEscapeAt(raw, at) {
				return at
			}
		}
		i += blockSize
	}
	const span = 8 + 1 // a word, and one more byte for that of the letters
	for ; i < len(raw)-1 && len(raw) >= span; i += 8 {
		i = min(i, len(raw)-span)
		for m := oddLetter(word(raw[i:]), word(raw[i+1:])); m != 0; m &= m - 1 {
			if at := i + bits.TrailingZeros64(m)/8; longEscapeAt(raw, at) {
				return at
			}
		}
	}
	for ; i < len(raw)-1; i++ {
		if longEscapeAt(raw, i) {
			return i
		}
	}
	return -1
}

// longEscapeAt reports whether such an escape begins at i, and not at a backslash that is itself
// escaped.
func longEscapeAt(raw []byte, i int) bool {
	return raw[i] == '\\' && (raw[i+1] == 'u' || raw[i+1] == '/') && !oddBackslashes(raw, i)
}

// oddLetter returns a number with the high bit set in each byte that is a backslash in slashes
// and odd in letters. Above the lowest bit that is set for this reason, others may be set
// without one. letters must have the bytes that follow those of slashes in the text: then
// the only byte that slashes - ones takes for a backslash by mistake, a ']' right after one, is
// above such a pair, since ']' is odd.
func oddLetter(slashes, letters uint64) uint64 {
	slashes ^= eightBackslashes // a zero byte for each
	return (slashes - ones) &^ slashes & (letters << 7) & highs
}
