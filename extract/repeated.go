package extract

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
)

// cutRepeated returns a text without the paragraphs at its end that repeat the end of the system
// prompt, given that end. Aider writes them after the question at hand, and not after those
// before. A text that is nothing else stays as it is.
func cutRepeated(raw, system []byte) []byte {
	const n = leastRepeated
	words := trim(raw)
	if len(system) < n || len(words) <= n || !bytes.HasSuffix(words, system[len(system)-n:]) {
		return raw
	}
	start := len(words) - n
	for i := len(system) - n; start > 0 && i > 0 && words[start-1] == system[i-1]; i-- {
		start--
	}
	start = max(0, start-len(paragraphBreak))
	i := bytes.Index(words[start:], paragraphBreak)
	if i < 0 {
		return raw
	}
	if rest := trimEnd(words[:start+i]); len(rest) > 0 {
		return rest
	}
	return raw
}

// leastRepeated is how many bytes of a system prompt a person's words must repeat.
const leastRepeated = len("Reply in English")

// keepEnding keeps how a plain text of a system message ends.
func (t *trail) keepEnding(text []byte, lent bool) {
	text = trimEnd(text)
	t.ending = text[max(0, len(text)-maxEnding):]
	if lent {
		t.endingRoom = append(t.endingRoom[:0], t.ending...)
		t.ending = t.endingRoom
	}
}

// An endSet is a small Bloom filter of how texts end: mayHave is true for all that were
// added, and for few others. It tells whether any text may repeat a system prompt that is
// read after the messages.
type endSet [16]uint64

func (s *endSet) add(text []byte) {
	i, bit := s.place(trimEnd(text))
	s[i] |= bit
}

// mayHave reports whether a text that was added may end like the given one.
func (s *endSet) mayHave(text []byte) bool {
	i, bit := s.place(text)
	return s[i]&bit != 0
}

// place returns where in the set a text has its bit, which is 0 if it is too short.
func (s *endSet) place(text []byte) (i, bit uint64) {
	if len(text) < leastRepeated {
		return 0, 0
	}
	h := xxhash.Sum64(text[len(text)-leastRepeated:])
	return (h >> 6) % uint64(len(s)), 1 << (h & 63)
}
