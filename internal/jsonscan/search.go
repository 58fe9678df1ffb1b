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
// bytes behind it, or -1. This finds a candidate for a member's name quickly: the caller
// picks the byte of the name that is rarest in other texts, passes that and its distance
// from the quote, and compares the rest itself.
func QuoteBefore(b []byte, far int, c byte) int {
	i, pattern := 0, uint64(c)*ones
	for ; len(b)-far-i >= blockSize; i += blockSize {
		p, q := (*[blockSize]byte)(b[i:]), (*[blockSize]byte)(b[i+far:])
		found := both(word(p[0:]), word(q[0:]), pattern) | both(word(p[8:]), word(q[8:]), pattern)
		found |= both(word(p[16:]), word(q[16:]), pattern) | both(word(p[24:]), word(q[24:]), pattern)
		found |= both(word(p[32:]), word(q[32:]), pattern) | both(word(p[40:]), word(q[40:]), pattern)
		found |= both(word(p[48:]), word(q[48:]), pattern) | both(word(p[56:]), word(q[56:]), pattern)
		if found&highs != 0 {
			break
		}
	}
	for ; i < len(b)-far; i++ {
		if b[i] == '"' && b[i+far] == c {
			return i
		}
	}
	return -1
}

// both returns a number with some high bit set if there is a byte position at which first
// has a quote and second the byte of pattern, and without any if there is none.
func both(first, second, pattern uint64) uint64 {
	x := (first ^ eightQuotes) | (second ^ pattern)
	return (x - ones) &^ x
}

// LongEscape returns the offset of the first backslash in raw, the inside of a JSON string,
// that has a 'u' or a '/' right behind it, or -1: what may be an escape that is not written
// in the shortest way. (That may be the shortest way, or the backslash may be escaped
// itself.)
//
// Of the bytes that may stand behind a backslash, 'u' and '/' are odd numbers in ASCII,
// and all others, "\bfnrt, are even. So the lowest bit tells which places need a second
// look: see oddLetters in block.go.
func LongEscape(raw []byte) int {
	i := 0
	for len(raw)-i > blockSize {
		i += oddLetters(raw[i:])
		if n := longEscape(raw[i:min(len(raw), i+blockSize+1)]); n >= 0 {
			return i + n
		}
		i = min(len(raw), i+blockSize)
	}
	if n := longEscape(raw[i:]); n >= 0 {
		return i + n
	}
	return -1
}

// longEscape is LongEscape for a short text.
func longEscape(raw []byte) int {
	i := 0
	for len(raw)-i > 8 {
		m := oddLetter(word(raw[i:]), word(raw[i+1:]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) / 8
		if raw[i+1] == 'u' || raw[i+1] == '/' {
			return i
		}
		i++
	}
	for ; i < len(raw)-1; i++ {
		if raw[i] == '\\' && (raw[i+1] == 'u' || raw[i+1] == '/') {
			return i
		}
	}
	return -1
}

// LineBreak returns the offset of the first line break in raw, the inside of a JSON string,
// as most writers escape it: of a backslash with an 'n' right behind it, or -1. (The
// backslash may be escaped itself.)
func LineBreak(raw []byte) int {
	i := 0
	for ; len(raw)-i > 16; i += 16 {
		p := (*[17]byte)(raw[i:])
		if m := brokenLine(word(p[0:]), word(p[1:])); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
		if m := brokenLine(word(p[8:]), word(p[9:])); m != 0 {
			return i + 8 + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(raw)-1; i++ {
		if raw[i] == '\\' && raw[i+1] == 'n' {
			return i
		}
	}
	return -1
}

// brokenLine returns a number whose lowest set bit is the high bit of the first byte that is a
// backslash in slashes and has an 'n' at the same place in letters, or 0 if there is none.
func brokenLine(slashes, letters uint64) uint64 {
	x := (slashes ^ eightBackslashes) | (letters ^ 'n'*ones)
	return (x - ones) &^ x & highs
}

// oddLetter returns a number with the high bit set of the first byte that is a backslash
// in slashes and has an odd byte at the same place in letters, or 0 if there is none.
// Bits of later bytes may be set without cause. letters must have the bytes that follow
// those of slashes in the text: what slashes - ones then finds by mistake, a ']' behind a
// backslash, is always behind such a pair.
func oddLetter(slashes, letters uint64) uint64 {
	slashes ^= eightBackslashes // a zero byte for each
	return (slashes - ones) &^ slashes & (letters << 7) & highs
}
