package jsonscan

import "math/bits"

// skim returns where the value ends that starts at b[i], or -1: what [Cursor.Skim]
// promises. The offset must not be beyond the end of b. It is fast because it goes by
// blocks of 64 bytes: see endOfNestedByBlocks. FuzzSkim and TestSkimAgainstReference hold
// it against a reader that goes byte by byte (reference_test.go).
func skim(b []byte, i int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return endOfString(b, i+1)
	case '{', '[':
		return endOfNested(b, i+1, b[i])
	default:
		return scalar(b, i)
	}
}

// endOfNested returns where an object or array ends, or -1, given an offset inside it
// that is outside of all strings and of what is nested in it. The bracket is the
// opening or the closing one; it only tells an object from an array.
func endOfNested(b []byte, i int, bracket byte) int {
	switch i = pastFewStrings(b, i); {
	case i < 0:
		return -1
	case i < len(b) && b[i] == closer(brace(bracket)):
		return i + 1
	}
	return endOfNestedByBlocks(b, i, bracket)
}

// pastFewStrings goes past the first few strings from b[i] on, and past commas and
// colons between them, as long as nothing else comes. It returns -1 if a string
// does not end. Many objects hold nothing but a few strings, and going through
// these one by one is quicker than beginning with blocks.
func pastFewStrings(b []byte, i int) int {
	const few = 6
	for range few {
		if i < len(b) && (b[i] == ',' || b[i] == ':') {
			i++
		}
		if i >= len(b) || b[i] != '"' {
			break
		}
		if i = endOfString(b, i+1); i < 0 {
			break
		}
	}
	return i
}

// endOfNestedByBlocks is endOfNested for what is not known to be small.
//
// It goes through the text by blocks of 64 bytes. For each block it has words with a
// bit for each byte: which bytes are quotes, which are brackets or other marks, and
// which are in a string, that is, behind an odd number of quotes. Only the marks
// outside of strings are looked at one by one.
//
// An escaped quote would upset the count. Where a quote inside a string has a
// backslash before it, the block is evaluated up to that quote only, and the rest
// of the string is left to endOfLongStrings. So are strings that fill a whole
// block, since bytes.IndexByte is quicker there. The next block begins where that
// string ends.
func endOfNestedByBlocks(b []byte, i int, bracket byte) int {
	open := nesting{kinds: 2 | brace(bracket)}
	inside := uint64(0) // 1 if the block begins inside a string
	for ; i < len(b); i += blockSize {
		var block *[blockSize]byte
		if len(b)-i >= blockSize {
			block = (*[blockSize]byte)(b[i:])
		} else {
			var rest [blockSize]byte
			copy(rest[:], b[i:])
			block = &rest
		}
		quotes, marks := structure(block)
		strings := insides(quotes, inside)
		escaped := blockSize // the offset in the block of the first escaped quote
		if q := quotes & ((marks&strings)<<1 | inside); q != 0 {
			// Inside a string, a mark before these quotes (or what was before the
			// block) may be a backslash. Up to the first quote that is escaped,
			// strings is right.
			escaped = firstEscaped(b, i, q)
		}
		if m := marks &^ strings; m != 0 {
			left, ok := open.take(block, m&(1<<escaped-1))
			if !ok {
				return -1
			}
			if left != 0 {
				return i + bits.TrailingZeros64(left) + 1
			}
		}
		inside = strings >> 63
		switch {
		case escaped < blockSize:
			i = endOfLongStrings(b, i+escaped+1, true)
		case inside != 0 && quotes == 0:
			i = endOfLongStrings(b, i+blockSize, false)
		case inside|quotes|marks == 0:
			i = plainUntil(b, i+blockSize) - blockSize
			continue
		default:
			continue
		}
		if i < 0 {
			return -1
		}
		i, inside = i-blockSize, 0
	}
	return -1
}

// firstEscaped returns the offset in the block at b[i] of the first of the given quotes
// that is escaped, or blockSize if none is. The byte before each of them must be in a
// string: only there do backslashes escape.
func firstEscaped(b []byte, i int, quotes uint64) int {
	for ; quotes != 0; quotes &= quotes - 1 {
		if at := bits.TrailingZeros64(quotes); oddBackslashes(b, i+at) {
			return at
		}
	}
	return blockSize
}
