//go:build !amd64 || purego

package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// pastEscaped is what escaped_amd64.go says of it, for other processors. It stops
// earlier where a few blocks in a row have no quotes, which others are quicker to
// find, and at none that it can tell to be escaped.
func pastEscaped(b []byte, i int) int {
	const few = 4
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
			found, slashes = escapes(p)
		}
		// Mostly all quotes are behind a backslash that is behind none. For the first
		// byte, one before the block is taken for two.
		behind := after(slashes, before)
		if found&(^behind|after(slashes&behind, before)) != 0 {
			if ends := endsIn(b, i, found, slashes); ends != 0 {
				return i + bits.TrailingZeros64(transpose(ends))
			}
		}
		before = last(slashes)
		if seen--; found != 0 {
			seen = few
		}
	}
	return i
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
