package extract

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
)

// withoutTimes returns the digest of a plain text without the times of day, such as 9:05 or
// 17:04:31.250, near its beginning and its end, given the digest of all of it: many system
// prompts say what time it is, which changes with each turn. To look in the middle of long
// ones as well would take as long as all the rest of a trail.
func withoutTimes(text []byte, all uint64) uint64 {
	const near = 2 << 10 // bytes from either end
	var d xxhash.Digest
	done := 0
	for i := 0; ; {
		if i >= near {
			i = max(i, len(text)-near)
		}
		colon := bytes.IndexByte(text[i:], ':')
		if colon < 0 {
			break
		}
		if i += colon; near <= i && i < len(text)-near {
			continue
		}
		start, end := timeAt(text, i)
		if end == 0 {
			i++
			continue
		}
		if done == 0 {
			d.Reset()
		}
		d.Write(text[done:start])
		d.Write([]byte{0}) // which no text has
		done, i = end, end
	}
	if done == 0 {
		return all
	}
	d.Write(text[done:])
	return d.Sum64()
}

// timeAt returns where the time of day that has its first colon at i begins and ends, or 0 if
// there is none.
func timeAt(text []byte, i int) (start, end int) {
	digit := func(i int) bool { return 0 <= i && i < len(text) && '0' <= text[i] && text[i] <= '9' }
	start = i
	for start > i-2 && digit(start-1) {
		start--
	}
	if start == i || digit(start-1) {
		return 0, 0
	}
	end = i
	for end < len(text) && text[end] == ':' && digit(end+1) && digit(end+2) && !digit(end+3) {
		end += len(":00")
	}
	if end == i {
		return 0, 0
	}
	if digit(end+1) && text[end] == '.' { // parts of a second
		for end++; digit(end); end++ {
		}
	}
	return start, end
}
