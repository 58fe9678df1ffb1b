package extract

import (
	"bytes"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// A systemPrompt is what a trail keeps of the system prompt beside the messages, or of that among
// them.
type systemPrompt struct {
	sum      sum
	timeless sum    // without the times of day in the texts
	places   places // the directories that the texts name

	// For Request.Class.
	texts    [3][]byte // how the first texts open
	n        int32     // how many of these there are
	subagent bool      // the billing line says so
}

// readSystem reads the system prompt that is beside the messages.
func (t *trail) readSystem(r *Request) {
	for _, f := range systemFields {
		if raw := r.get(f); raw != nil {
			c := jsonscan.New(raw)
			t.content(&c, &t.system)
		}
	}
	// What the upstream keeps of a prompt may be all that tells two conversations apart: Gemini's
	// cached contents, and the values for OpenAI's and Bedrock's templates.
	r.eachKept(func(raw []byte) {
		c := jsonscan.New(raw)
		t.system.add(t.value(&c))
	})
}

// systemSays reads the next value, the content of a message of the system. After the first
// words it counts as something injected: some clients put such a message last, to remind the
// model of something, and in the next turn there are answers before it. After an answer it is
// not part of any setting. But some clients say there what to make of the conversation, such
// as a summary, so for the class of the request it is the last text.
func (t *trail) systemSays(c *jsonscan.Cursor) {
	switch {
	case !t.answered && t.texts > 0:
		before, timeless := t.systemAmong.sum, t.systemAmong.timeless
		t.systemAmong.sum = sum{}
		t.content(c, &t.systemAmong)
		t.injected.sum = t.injected.sum.plus(t.systemAmong.sum)
		t.systemAmong.sum, t.systemAmong.timeless = before, timeless
	case !t.answered:
		t.content(c, &t.systemAmong)
	case (t.endsInAnswer || t.since.sum == 0) && c.Kind() == '"': // nobody has spoken since the answer
		raw, _ := c.String()
		withPlain(raw[:min(len(raw), maxKept)], func(text []byte, lent bool) { t.keepLast(trim(text), lent) })
	default:
		c.Skim()
	}
}

// add adds the digest of something that is not a text.
func (s *systemPrompt) add(h uint64) {
	s.sum, s.timeless = s.sum.add(binarySalt, h), s.timeless.add(binarySalt, h)
}

// read adds a plain text. If it is lent, it must not be kept.
func (s *systemPrompt) read(text []byte, lent bool) {
	billing, text := cutBilling(text)
	s.subagent = s.subagent || bytes.Contains(billing, []byte("cc_is_subagent=true"))
	if len(text) == 0 {
		return
	}
	h := xxhash.Sum64(text)
	s.sum, s.timeless = s.sum.add(textSalt, h), s.timeless.add(textSalt, withoutTimes(text, h))
	s.places.read(text, maxPlaces)
	if int(s.n) == len(s.texts) {
		return
	}
	text = text[:min(len(text), maxKept)]
	if lent {
		text = bytes.Clone(text)
	}
	s.texts[s.n] = text
	s.n++
}

// cutBilling parts a text of a system prompt into the line with which Claude Code opens it,
// nil if it has none, and the rest, without white space around that. The line holds the
// client's version and, in some versions, a hash of the request, so it changes with every
// turn. Proxies that translate put it on top of whatever they make of the system prompt. If the
// text is not plain, a line with escapes that no client writes there is none.
func cutBilling(raw []byte) (billing, rest []byte) {
	const header = "x-anthropic-billing-header:"
	rest = trim(raw)
	if len(rest) < len(header) || !bytes.EqualFold(rest[:len(header)], []byte(header)) {
		return nil, rest
	}
	line, after := cutLine(rest)
	if jsonscan.LongEscape(line) >= 0 { // it may be a line break
		return nil, rest
	}
	return line, trimStart(after)
}
