package extract

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
)

// cutRepeated returns a text without the paragraphs at its end that repeat the end of the system
// prompt, given as system. Aider adds them to the current question only. A text that is nothing
// else stays as it is.
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

// leastRepeated is how many bytes of the system prompt a text must repeat.
const leastRepeated = len("Reply in English")

// keepEnding keeps the end of a plain text of the system prompt.
func (t *trail) keepEnding(text []byte, lent bool) {
	text = trimEnd(text)
	t.ending = text[max(0, len(text)-maxEnding):]
	if lent {
		t.endingRoom = append(t.endingRoom[:0], t.ending...)
		t.ending = t.endingRoom
	}
}

// An endSet is a small Bloom filter of the ends of texts. It tells whether any of the messages
// may repeat a system prompt that comes after them in the body. With 300 texts, it is wrong about
// one ending in 30.
type endSet [48]uint64

func (s *endSet) add(text []byte) {
	i, bits := s.place(trimEnd(text))
	s[i] |= bits
}

// mayHave reports whether a text that was added may end like the given one. It is true for all
// that do, and for few others.
func (s *endSet) mayHave(text []byte) bool {
	i, bits := s.place(text)
	return bits != 0 && s[i]&bits == bits
}

// place returns the bits of a text, one or two, and the word of the set that they are in. For a
// text that is too short there are none.
func (s *endSet) place(text []byte) (i, bits uint64) {
	if len(text) < leastRepeated {
		return 0, 0
	}
	h := xxhash.Sum64(text[len(text)-leastRepeated:])
	return (h >> 12) % uint64(len(s)), 1<<(h&63) | 1<<(h>>6&63)
}
