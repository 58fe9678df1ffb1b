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

// strByBlocks goes through the string that b[i] is in, right behind a quote, by
// blocks, while there are enough left and at least one of a few has quotes. It
// returns the offset behind the string and true, or how far it came.
func strByBlocks(b []byte, i int) (end int, done bool) {
	const few = 4
	ascii := true
	var slash, two uint64 // whether the block begins behind a backslash, or two
	for seen := few; len(b)-i >= blockSize && seen > 0; i += blockSize {
		block := (*[blockSize]byte)(b[i:])
		var found, slashes uint64
		if ascii {
			found, slashes, ascii = asciiEscapes(block)
		}
		if !ascii {
			found, slashes = anyEscapes(block)
		}
		// Mostly all quotes are behind a backslash that is behind none.
		behind := after(slashes, slash)
		twos := slashes & behind
		if found&^behind != 0 || twos|two != 0 && found&after(twos, two) != 0 {
			first := uint64(0)
			if oddBackslashes(b, i) {
				first = 1
			}
			if ends := unescaped(found, slashes, first); ends != 0 {
				return i + bits.TrailingZeros64(transpose(ends)) + 1, true
			}
		}
		slash, two = last(slashes), last(twos)
		if seen--; found != 0 {
			seen = few
		}
	}
	return i, false
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
