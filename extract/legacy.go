package extract

import (
	"bytes"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// readLegacy reads what a body has in place of messages: a prompt, by any of its names,
// or Cohere's chat before v2, which has the last message beside those before it. If there
// is a history in another form, such as ChatGLM's, it reads nothing: the prompt alone says
// little about the conversation.
func (t *trail) readLegacy(r *Request) {
	if hasMessages(r.member("history")) {
		return
	}
	if prompt := r.get(promptField); prompt != nil {
		t.images(r.member("images"))
		t.legacyPrompt(prompt)
		return
	}
	if last := r.member("message"); len(last) > 0 && last[0] == '"' {
		t.cohere(r, last)
		return
	}
	for _, name := range [...]string{"inputText", "inputs"} { // Amazon Titan, Hugging Face
		if prompt := r.member(name); prompt != nil {
			t.legacyPrompt(prompt)
			return
		}
	}
}

// cohere reads a chat of Cohere's before v2, given its last message. Many other bodies, such as
// a webhook's, have a member called message. Cohere's also name a model, in the body or in
// Bedrock's path, or have a chat_history, which must be in a form that is known.
func (t *trail) cohere(r *Request, last []byte) {
	history := r.member("chat_history")
	if history == nil && r.member("model") == nil && !strings.Contains(r.Path, "/model/") {
		return
	}
	t.careful = true // since they are not read again if t is unsure
	system := jsonscan.New(r.member("preamble"))
	t.content(&system, &t.system)
	c := jsonscan.New(history)
	t.messages(&c)
	if history != nil && !c.OK() || hasMessages(history) && t.silent() && t.systemAmong.n == 0 && !t.answered {
		t.giveUp()
		return
	}
	c = jsonscan.New(last)
	t.message(&c)
}

// legacyPrompt reads the prompt of a legacy completion, given its text in the body. A string, or
// an array of one string, holds a whole conversation, and the prompt of the next request
// begins with it. Where in it an earlier request ended can only be guessed: see
// legacyText. An array of objects holds messages: Vercel's AI SDK sends these to gateways.
// Any other array, of several strings or of tokens, counts as one text.
func (t *trail) legacyPrompt(raw []byte) {
	c := jsonscan.New(raw)
	array := c.Array() && c.Element()
	if array && c.Kind() == '{' {
		c = jsonscan.New(raw)
		t.careful = true // since they are not read again if t is unsure
		if t.messages(&c); !c.OK() {
			t.giveUp()
		}
		return
	}
	s, ok := c.String()
	if array && (!ok || c.Element()) {
		c = jsonscan.New(raw)
		t.person(binarySalt, t.value(&c))
		return
	}
	room := borrow(len(s))
	*room = jsonscan.AppendText(*room, s)
	t.legacyText(bytes.Trim(*room, space))
	giveBack(room)
}

// legacyText reads the text of a prompt, without white space around it. An earlier request may
// have ended after each occurrence of the word that this one ends in ("Assistant:",
// "[/INST]"), and at the end of each line. The last maxTexts of these places are put into
// t.textSteps, and those before into t.steps.
func (t *trail) legacyText(text []byte) {
	if len(text) == 0 {
		return
	}
	ends := wordEnds(text)
	t.keepTails(text, ends)
	ends = append(ends, lineEnds(text)...)
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
			t.textSteps.put(t.here)
		}
	}
	t.texts++
}

// keepTails keeps the digests of the bytes right before the last few of the given ends, the
// last one first. If the beginning of a prompt is cut away, or rewritten, they tell where the
// request before ended. It keeps none of an end with too few bytes before it.
func (t *trail) keepTails(text []byte, ends []int) {
	const longest = 256 // bytes; an answer, or a part of one, is mostly among them
	for _, end := range ends[:min(len(ends), 1+maxNear)] {
		if end < longest {
			return
		}
		if h := xxhash.Sum64(text[end-longest : end]); !slices.Contains(t.textTails, h) {
			t.textTails = append(t.textTails, h)
		}
	}
}

// wordEnds returns the offsets at which the last word of text and its last few earlier
// occurrences end, the last one first. Of a word longer than 40 bytes it looks for the last
// 40. The text must not be empty or end in white space.
func wordEnds(text []byte) []int {
	const longest = 40
	end := text[max(0, len(text)-longest):]
	word := end[bytes.LastIndexAny(end, space)+1:]
	ends := make([]int, 0, maxSteps+maxTexts)
	for i := len(text); len(ends) < maxSteps; {
		if i = lastIndex(text[:i], word); i < 0 {
			break
		}
		ends = append(ends, i+len(word))
	}
	return ends
}

// lineEnds returns the offsets at which the last few lines of text that are not blank end, before
// their trailing white space, the last one first.
func lineEnds(text []byte) []int {
	ends := make([]int, 0, maxTexts)
	for i := len(text); i > 0 && len(ends) < maxTexts; {
		ends = append(ends, i)
		i = len(bytes.TrimRight(text[:bytes.LastIndexByte(text[:i], '\n')+1], space))
	}
	return ends
}

// space is the white space of JSON.
const space = " \t\r\n"
