package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// blockSize is how many bytes are looked at together: as many as a word has
// bits.
const blockSize = 64

// near returns the offset of the first c in b, or -1, given c eight times. A short
// way is quicker by words than with IndexByte, which is at its best where the way
// is long.
func near(b []byte, c byte, pattern uint64) int {
	if len(b) < 16 {
		return bytes.IndexByte(b, c)
	}
	if m := equal(word(b), pattern); m != 0 {
		return bits.TrailingZeros64(m) / 8
	}
	if m := equal(word(b[8:]), pattern); m != 0 {
		return 8 + bits.TrailingZeros64(m)/8
	}
	n := bytes.IndexByte(b[16:], c)
	if n < 0 {
		return -1
	}
	return 16 + n
}

// plainUntil returns the offset of a byte, from b[i] on, before which there is
// no quote, no bracket and nothing else but what may stand between strings.
func plainUntil(b []byte, i int) int {
	for len(b)-i >= 16 {
		w, v := word(b[i:]), word(b[i+8:])
		if (marked(w)|marked(v))&highs|equal(w, quotes)|equal(v, quotes) != 0 {
			break
		}
		i += 16
	}
	return i
}

// classify returns which bytes in the first block of b are quotes and which are
// marks: brackets, and others that never stand outside a string, backslashes
// among them. A word has one bit for each byte, the lowest for the first.
func classify(b []byte) (found, marks uint64) {
	if len(b) < blockSize {
		var last [blockSize]byte
		copy(last[:], b)
		b = last[:]
	}
	p := (*[blockSize]byte)(b)
	w0, w1, w2, w3 := word(p[0:]), word(p[8:]), word(p[16:]), word(p[24:])
	w4, w5, w6, w7 := word(p[32:]), word(p[40:]), word(p[48:]), word(p[56:])
	found = ^(pack(differ(w0, quotes)) | pack(differ(w1, quotes))<<8 | pack(differ(w2, quotes))<<16 | pack(differ(w3, quotes))<<24 |
		pack(differ(w4, quotes))<<32 | pack(differ(w5, quotes))<<40 | pack(differ(w6, quotes))<<48 | pack(differ(w7, quotes))<<56)
	marks = pack(marked(w0)) | pack(marked(w1))<<8 | pack(marked(w2))<<16 | pack(marked(w3))<<24 |
		pack(marked(w4))<<32 | pack(marked(w5))<<40 | pack(marked(w6))<<48 | pack(marked(w7))<<56
	return found, marks
}

// positions returns which of the bytes in the first block of b are those that
// pattern repeats.
func positions(b []byte, pattern uint64) uint64 {
	if len(b) < blockSize {
		var last [blockSize]byte
		copy(last[:], b)
		b = last[:]
	}
	p := (*[blockSize]byte)(b)
	return ^(pack(differ(word(p[0:]), pattern)) | pack(differ(word(p[8:]), pattern))<<8 |
		pack(differ(word(p[16:]), pattern))<<16 | pack(differ(word(p[24:]), pattern))<<24 |
		pack(differ(word(p[32:]), pattern))<<32 | pack(differ(word(p[40:]), pattern))<<40 |
		pack(differ(word(p[48:]), pattern))<<48 | pack(differ(word(p[56:]), pattern))<<56)
}

// escapes returns which bytes of a block are escaped, given those that are
// backslashes. first is one if the first byte is escaped, and next if the first
// of the next block is.
func escapes(backslashes, first uint64) (escaped, next uint64) {
	// A run of backslashes that begin escapes ends an odd number of bytes from
	// its start if adding one at its start carries from an even place to an odd
	// one or the other way round.
	const odd = 0xaaaaaaaaaaaaaaaa
	begin := backslashes &^ first
	after := begin << 1
	pairs := (after | odd - begin) ^ odd
	return pairs ^ (backslashes | first), pairs & backslashes >> 63
}

// parity returns, for each bit of x, whether an odd number of bits are set up to
// it.
func parity(x uint64) uint64 {
	x ^= x << 1
	x ^= x << 2
	x ^= x << 4
	x ^= x << 8
	x ^= x << 16
	x ^= x << 32
	return x
}

// What follows does something to all eight bytes in a word at once.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080

	quotes      = '"' * ones
	backslashes = '\\' * ones
)

func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// equal returns 0 if no byte in w is that of pattern, and else a number whose
// lowest bit is the high bit of the first that is.
func equal(w, pattern uint64) uint64 {
	x := w ^ pattern // a zero byte where they are equal
	return (x - ones) &^ x & highs
}

// differ returns a word with a high bit for each byte in w that is not that of
// pattern.
func differ(w, pattern uint64) uint64 {
	x := w ^ pattern
	return x&^highs + ^uint64(highs) | x
}

// marked returns a word with a high bit for each byte in w that is a bracket, or
// never stands outside a string but for the quotes: those that are not ASCII,
// and, without the bit that tells '{' from '[', are '[' or more.
func marked(w uint64) uint64 { return w&(0x5f*ones) + (0x80-'[')*ones | w }

// pack returns the high bits in w side by side.
func pack(w uint64) uint64 { return w >> 7 & ones * 0x0102040810204080 >> 56 }
