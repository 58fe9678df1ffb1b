package jsonscan

import (
	"bytes"
	"encoding/binary"
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
// are, and -1 for others.
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
	return longStr(b, i+1, false)
}

// longStrs is longStr for a string that has been long so far. It goes past those
// behind it, too, while there is only a comma between and they are not short:
// lists are often of one kind.
func longStrs(b []byte, i int, dense bool) int {
	for {
		start := i
		i = longStr(b, i, dense)
		if i-start < shortString || len(b)-i < 2 || b[i] != ',' || b[i+1] != '"' {
			return i
		}
		i += 2
	}
}

// shortString is how many bytes it takes for a string not to be short.
const shortString = 32

// longStr returns the offset behind the string that b[i] is in, anywhere behind
// its first quote, or -1. Dense says that many of its quotes are escaped, and
// that b[i] is right behind one.
//
// Where there is less than a block or so between two quotes, the string is read
// by blocks; else it is quicker to go from one to the next.
func longStr(b []byte, i int, dense bool) int {
	for i < len(b) {
		if dense {
			end, done := strByBlocks(b, i)
			if done {
				return end
			}
			i = end
		}
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		if i += n + 1; !oddBackslashes(b, i-1) {
			return i
		}
		dense = n < blockSize
	}
	return -1
}

// few is how many blocks in a row have no quotes if the next one is far away.
const few = 4

// strByBlocks goes through the string that b[i] is in, right behind an escaped
// quote, by blocks, while there are enough left and at least one of a few has
// quotes. It returns the offset behind the string and true, or how far it came.
//
// It is strByAnyBlocks, quicker, for blocks that are ASCII, up to one that is not.
func strByBlocks(b []byte, i int) (end int, done bool) {
	quote, slash, one, high := patterns.quote, patterns.slash, patterns.one, patterns.high
	before := uint64(0) // whether the block begins behind a backslash
	for seen := few; i <= len(b)-blockSize && seen > 0; i += blockSize {
		p := (*[blockSize]byte)(b[i:])
		w := binary.LittleEndian.Uint64(p[0:])
		all := w
		found, slashes := match(w, quote, one)&high, match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[8:]), all|w
		found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[16:]), all|w
		found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[24:]), all|w
		found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[32:]), all|w
		found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[40:]), all|w
		found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[48:]), all|w
		found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[56:]), all|w
		found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		if (all|w)&high != 0 {
			return strByAnyBlocks(b, i)
		}
		// Mostly all quotes are behind a backslash that is behind none. For the first
		// byte, one before the block is taken for two: endsIn knows.
		behind := after(slashes, before)
		if found&(^behind|after(slashes&behind, before)) != 0 {
			if ends := endsIn(b, i, found, slashes); ends != 0 {
				return i + bits.TrailingZeros64(transpose(ends)) + 1, true
			}
		}
		before = last(slashes)
		if seen--; found != 0 {
			seen = few
		}
	}
	return i, false
}

// strByAnyBlocks is strByBlocks for whatever is in the blocks, anywhere in a string.
func strByAnyBlocks(b []byte, i int) (end int, done bool) {
	for seen := few; i <= len(b)-blockSize && seen > 0; i += blockSize {
		found, slashes := escapes((*[blockSize]byte)(b[i:]))
		if found == 0 {
			seen--
			continue
		}
		seen = few
		if ends := endsIn(b, i, found, slashes); ends != 0 {
			return i + bits.TrailingZeros64(transpose(ends)) + 1, true
		}
	}
	return i, false
}

// endsIn returns which of the quotes in the block at b[i], in a string, are not
// escaped, given the quotes and the backslashes; all by columns.
func endsIn(b []byte, i int, found, slashes uint64) uint64 {
	first := uint64(0)
	if oddBackslashes(b, i) {
		first = 1
	}
	return unescaped(found, slashes, first)
}

// oddBackslashes reports whether b[i], which is in a string, is behind an odd
// number of backslashes. What ends a run of them, the quote before at the
// latest, is none, so each is counted once in all.
func oddBackslashes(b []byte, i int) bool {
	n := i
	for b[n-1] == '\\' {
		n--
	}
	return (i-n)%2 == 1
}
