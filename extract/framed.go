package extract

import (
	"bytes"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Many applications write something around the current question, in the same text: what they
// have looked up for it, the time, how to answer. In the next turn the question is alone:
//
//	Use this context to answer the question.
//
//	Oslo has 700,000 inhabitants.
//
//	Question: And how many people live there?
//	Answer:
//
// Nobody knows all such frames, so none is removed. But the question is mostly one of a few
// pieces of the text, so the request is stored under each of them, together with what was
// asked last before it or, if that says little, with all that was asked. The next turn finds
// it by the question. What is found like that is no more than a place to start at, and only
// under a system prompt that is the same but for times of day: a short line, such as the
// text of a button, is said by many. So strangers who ask the same meet there, as they do if
// nothing is written around it.

// maxFramed is how many pieces of a text may be the question in it.
const maxFramed = 8

// framed calls f for each piece of the last text that may be the question in it: the first
// paragraph, the last one, the last line with and without what looks like a label, the lines after
// the first and the last label such as "Question:", and those below the first and the last heading
// such as "## Question". A last line that says who is to speak (a cue) is left out first. f is
// given the digest and the length of the piece and the pictures around it, of which there are none
// if there is another text since the last answer.
func (t *trail) framed(f func(asked uint64, bytes int, around pictures)) {
	if st := t.steps.back(0); st == nil || st.answered || t.endsInAnswer || t.ignoreRest || t.lastText == 0 || !t.severalLines() {
		return
	}
	var around pictures
	if t.pictures.surround(t.lastText, t.since) {
		around = t.pictures
	} else if t.pictures.last() {
		return
	}
	opening, end := inLines(t.lastWords()), inLines(withoutCue(t.lastEnd()))
	line := end.line
	rest := trim(withoutLabel(line))
	if words, label := afterLabel(line); label {
		line = bare(words) // otherwise it may be that of a question such as "What is this: a noun?"
	}
	pieces := [maxFramed][]byte{opening.first, opening.labels.first, end.last,
		end.labels.last, // this may be a part of what was looked up, such as an answer to somebody else
		line, rest, opening.headings.first, end.headings.last}
	for i, piece := range pieces {
		whole := len(piece) >= min(len(t.lastWords()), len(t.lastEnd())) // or it may have been cut off
		same := slices.ContainsFunc(pieces[:i], func(before []byte) bool { return bytes.Equal(before, piece) })
		if len(piece) > 0 && !whole && !same {
			f(xxhash.Sum64(piece), len(piece), around)
		}
	}
}

// severalLines reports whether the last text has a line break in what is kept of it.
func (t *trail) severalLines() bool {
	return bytes.Contains(t.lastWords(), lineBreak) || bytes.Contains(t.lastEnd(), lineBreak)
}

// lines is what may be a question in a text.
type lines struct {
	first, last      []byte // paragraphs, without white space around them
	line             []byte // the last one, the same
	labels, headings below
}

// inLines looks at the lines of a text.
func inLines(text []byte) (l lines) {
	l.first, l.last = text, text
	labels, headings := mayBeLabelled(text), mayBeHeaded(text)
	for rest := text; len(rest) > 0; {
		at := len(text) - len(rest)
		l.line, rest = cutLine(rest)
		if labels {
			words, label := labelled(l.line)
			l.labels.add(l.line, words, label)
		}
		if headings {
			l.headings.add(l.line, nil, heads(l.line))
		}
		if len(trimStart(l.line)) > 0 {
			continue
		}
		if len(l.first) == len(text) {
			l.first = text[:at]
		}
		l.last = rest
	}
	l.first, l.last, l.line = trim(l.first), trim(l.last), trim(l.line)
	return l
}
