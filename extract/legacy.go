package extract

import (
	"bytes"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// prompt reads the prompt of a legacy completion: a string, or an array of
// strings or tokens. The string holds the whole conversation, and the next one
// begins with it. Where in it a request ended can only be guessed: behind the
// same word as this one ("Assistant:", "[/INST]"), or at the end of a line.
func (t *trail) prompt(raw []byte) {
	c := jsonscan.New(raw)
	array := c.Array() && c.Element()
	s, ok := c.String()
	if array && (!ok || c.Element()) {
		c = jsonscan.New(raw)
		t.person(binarySalt, t.value(&c))
		return
	}
	room := borrow(len(s))
	*room = jsonscan.AppendText(*room, s)
	t.legacy(trimRight(bytes.TrimLeft(*room, space)))
	scratch.Put(room)
}

// legacy reads the text of a prompt, without white space around it.
func (t *trail) legacy(text []byte) {
	if len(text) == 0 {
		return
	}
	ends := append(wordEnds(text), lineEnds(text)...)
	slices.Sort(ends)
	ends = slices.Compact(ends)
	var d xxhash.Digest
	d.Reset()
	before, done := t.here, 0
	for i, end := range ends {
		d.Write(text[done:end])
		done = end
		t.here = before.add(textSalt, d.Sum64())
		if i < len(ends)-maxTexts {
			t.steps.put(step{sum: t.here})
		} else {
			t.parts.put(t.here)
		}
	}
	t.texts++
}

// wordEnds returns the offsets behind the last word of text and its last few
// occurrences before.
func wordEnds(text []byte) []int {
	const longest = 40
	end := text[max(0, len(text)-longest):]
	word := end[bytes.LastIndexAny(end, space)+1:]
	ends := make([]int, 0, maxSteps+maxTexts)
	for i := len(text); len(ends) < maxSteps; {
		if i = bytes.LastIndex(text[:i], word); i < 0 {
			break
		}
		ends = append(ends, i+len(word))
	}
	return ends
}

// lineEnds returns the offsets at which the last few lines of text end that are
// not blank.
func lineEnds(text []byte) []int {
	ends := make([]int, 0, maxTexts)
	for i := len(text); i > 0 && len(ends) < maxTexts; {
		ends = append(ends, i)
		i = len(trimRight(text[:bytes.LastIndexByte(text[:i], '\n')+1]))
	}
	return ends
}

const space = " \t\r\n"

// trimRight cuts off trailing white space.
func trimRight(text []byte) []byte {
	n := len(text)
	for n > 0 && text[n-1] <= ' ' && (text[n-1] == ' ' || text[n-1] == '\n' || text[n-1] == '\r' || text[n-1] == '\t') {
		n--
	}
	return text[:n]
}
