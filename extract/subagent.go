package extract

import "bytes"

// addressesSubagent reports whether a system prompt, given as it opens, says to the model
// that it is a sub-agent: "You are a focused, read-only sub-agent".
func addressesSubagent(text []byte) bool {
	const longest = 80 // bytes from the start to the end of the word

	if bytes.HasPrefix(text, []byte("# ")) { // a heading
		_, text, _ = bytes.Cut(text, lineBreak)
		text = trimStart(text)
	}
	text, ok := bytes.CutPrefix(text, []byte("You are "))
	if !ok {
		return false
	}
	who, behind, ok := bytes.Cut(text[:min(len(text), longest)], []byte("sub-agent"))
	if !ok {
		who, behind, ok = bytes.Cut(text[:min(len(text), longest)], []byte("subagent"))
	}
	return ok && !beforeOthers.in(who) && !startsWith(behind, behindOthers)
}

// behindOthers make of the word the name of one who has to do with sub-agents.
var behindOthers = []string{"s", "-", " orchestr", " coordin", " manage", " delegat"}
