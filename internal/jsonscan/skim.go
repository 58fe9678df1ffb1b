package jsonscan

import "math/bits"

// skim returns where the value ends that starts at b[i], or -1: what [Cursor.Skim]
// promises. The offset must not be beyond the end of b. It is fast because it goes by
// blocks of 64 bytes: see endOfNestedByBlocks.
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

// endOfNested returns where an object or array ends, or -1, given an offset inside it, but
// not inside a string or a nested value. bracket is its opening or closing bracket; it only
// tells an object from an array.
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
// which are in a string, that is, after an odd number of quotes. Only the marks
// outside of strings are looked at one by one.
//
// Escaped quotes are taken out of the count. If the string that they are in goes on
// after the block, its rest is left to endOfLongStrings. So are strings that fill a whole
// block, since bytes.IndexByte is quicker there. The next block begins where that string
// ends.
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
		within := uint64(0) // the escaped quotes in a string that goes on after the block
		if quotes&((marks&strings)<<1|inside) != 0 {
			// Inside a string, a mark before some quote (or what was before the block) may be
			// a backslash. Up to the first quote that is escaped, strings is right.
			quotes, within = unescaped(b, i, block, quotes)
			strings = insides(quotes, inside)
		}
		if m := marks &^ strings; m != 0 {
			left, ok := open.take(block, m)
			if !ok {
				return -1
			}
			if left != 0 {
				return i + bits.TrailingZeros64(left) + 1
			}
		}
		inside = strings >> 63
		switch {
		case within != 0 && inside != 0:
			i = endOfLongStrings(b, i+bits.TrailingZeros64(within)+1, true)
		case inside != 0 && quotes == 0:
			i = endOfLongStrings(b, i+blockSize, false)
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

// unescaped returns the quotes of the block at b[i] that are not escaped, and the escaped
// ones after the last of those. Outside of strings, where backslashes do not escape, it may
// be wrong, but there the backslash itself is a mistake.
func unescaped(b []byte, i int, block *[blockSize]byte, quotes uint64) (real, later uint64) {
	real = quotes &^ escaped(backslashes(block), oddBackslashes(b, i))
	return real, (quotes &^ real) >> bits.Len64(real) << bits.Len64(real)
}
