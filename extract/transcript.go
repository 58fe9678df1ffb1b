package extract

import (
	"bytes"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// A transcript is a conversation in one text of a person. Prompt templates make it:
// LangChain's ConversationChain, Semantic Kernel's prompt functions, agents that think on
// paper. It ends in a cue, a line that says who is to speak next, such as "AI:", and the
// transcript of the next turn begins with all of this one:
//
//	Current conversation:
//	Human: hi
//	AI: Hello.
//	Human: Where is Oslo?
//	AI:
//
// So at each line that begins like the last one, an earlier request may have ended.
//
// Other transcripts end in the current question, after a label that may differ from those
// further up ("User question: And Bergen?"), or inside an element that is closed after it, as
// with AgentScope. In these, an earlier request may have ended in each line of a person,
// whatever its label. Many texts that are not transcripts end like that, too, so they keep
// their own digest, and that of the transcript is one more key to find them by.

// cueOf returns the cue that a plain text without white space around it ends in, or nil.
func cueOf(words []byte) []byte {
	const longest = 40
	n := len(words)
	if n == 0 || words[n-1] != ':' && words[n-1] != '>' && words[n-1] != ']' && !bytes.HasSuffix(words, []byte("：")) {
		return nil // most texts
	}
	end := words[max(0, n-longest-len(lineBreak)):]
	cue := lastLine(end)
	if len(cue) == len(end) || bytes.LastIndex(cue, []byte("</")) > 0 { // no line of its own, or an element with words inside
		return nil
	}
	return cue
}

// withoutCue returns a text without the cue that it ends in, if it has one.
func withoutCue(words []byte) []byte {
	if cue := cueOf(words); cue != nil {
		return trimEnd(words[:len(words)-len(cue)])
	}
	return words
}

// beforeThought returns the beginning of a text that one of DSPy's agents had before its last
// thought, or nil. It adds each of its thoughts to its question, and what came of it:
//
//	[[ ## question ## ]]
//	How far is it from Oslo to Bergen?
//
//	[[ ## trajectory ## ]]
//	[[ ## thought_0 ## ]]
//	I should look that up.
func beforeThought(words []byte) []byte {
	if !opens(words, "[[ ## ") {
		return nil
	}
	if i := lastIndex(words, []byte(`\n[[ ## thought_`)); i >= 0 {
		return trimEnd(words[:i])
	}
	return nil
}

// endsInQuestion reports whether the last line of a text is one of a person in a conversation.
func endsInQuestion(words []byte) bool {
	const longest = 400 // bytes of the line
	end := words[max(0, len(words)-longest):]
	asked, _ := afterLabel(lastLine(end))
	return len(bare(asked)) > 0
}

// transcript returns the digest of a text that ends in a cue or, if that is nil, in a question,
// whose label does not count. The text must have no white space around it. Blank lines in it
// make no difference, since templates leave one if there is no conversation yet. If the text
// is the first one, transcript puts into t.steps where in it earlier requests may have ended.
// Later texts are not transcripts, and if one was pasted into them, its steps would crowd out
// the others.
func (t *trail) transcript(words, cue []byte) uint64 {
	const most = 1 << 14 // lines that are looked at, in all texts together
	var d xxhash.Digest
	d.Reset()
	d.Write(lineBreak) // each line counts with the break before it
	done := 0          // all before it has been written, or does not count
	for next := 0; t.lines < most && next < len(words); t.lines++ {
		start, line := next, words[next:]
		if n := jsonscan.LineBreak(line); n > 0 && line[n-1] == '\\' { // it may be none
			line, _ = cutLine(line)
		} else if n >= 0 {
			line = line[:n]
		}
		end := start + len(line)
		next = end + len(lineBreak)
		var ended []byte // up to where an earlier request may have ended
		switch {
		case len(trimStart(line)) == 0:
			d.Write(words[done:max(done, start-len(lineBreak))])
			done = end
			continue
		case cue == nil:
			ended, _ = afterLabel(line)
			ended = bare(ended)
		case line[0] == cue[0] && bytes.HasPrefix(line, cue):
			ended = cue
		}
		if len(ended) == 0 {
			continue
		}
		d.Write(words[done:start])
		done = start
		if t.texts == 0 && !t.answered && next < len(words) {
			until := d
			until.Write(ended)
			t.steps.put(step{sum: t.here.add(textSalt, until.Sum64()), answered: true})
		}
		if cue == nil { // of the line, nothing else counts
			d.Write(ended)
			done = end
		}
	}
	d.Write(words[done:])
	return d.Sum64()
}
