package extract

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// bodyClass returns what the body says. The first of these decides:
//
//   - what Codex says of itself in client_metadata;
//   - that a request to Ollama has no words, and only loads a model;
//   - that there is a prompt and a suffix, between which an editor wants something;
//   - the system prompt: see systemClass;
//   - OpenAI's compaction_trigger;
//   - the last words of a person, or of the system after an answer: the beginnings of
//     clients, the wish for a title, a standalone question or the next ones, and what
//     clients probe with.
//
// A system prompt for a sub-agent decides only if nothing else does, since a sub-agent may
// have side calls of its own.
func (r *Request) bodyClass() Class {
	if !r.readWithTrail() {
		return Turn
	}
	if raw := r.get(clientMetadataField); raw != nil {
		if c := bodyCodexClass(raw); c != Turn {
			return c
		}
	}
	t := r.trail()
	if t.silent() && (strings.HasSuffix(r.Path, "/api/generate") || strings.HasSuffix(r.Path, "/api/chat")) && r.loadsModel() {
		return Probe
	}
	if c := jsonscan.New(r.get(promptField)); c.Kind() == '"' && hasText(r.member("suffix")) && r.messages() == nil {
		return Auxiliary
	}
	first := t.texts == 1 && !t.answered && !r.delta() // a first question, and nothing else
	tools := r.hasTools(t)
	system := t.systemClass(first, tools)
	switch {
	case system.SideCall():
		return system
	case t.compacts:
		return Compaction
	}
	words := t.lastWords()
	if c := match(personBeginnings, words); c != Turn {
		return c
	}
	if !tools { // the rules in wishes.go are for calls without tools
		if c := t.lastWish(first); c != Turn {
			return c
		}
	}
	if first && r.probes(words) {
		return Probe
	}
	return system
}

// lastWish returns the class of what the last words of a person want, or Turn. An order of an
// application has what it is about on lines of its own; people often give theirs in one line.
func (t *trail) lastWish(first bool) Class {
	words, end := t.lastWords(), t.lastEnd()
	switch {
	case wantsTitleOfThis(words), wantsStandaloneQuestion(words), first && wantsNextQuestions(words, end):
		return Auxiliary
	case !first || !t.severalLines():
		return Turn
	case addressesModel(words) && (ordersAside(words) || isWriter(words)):
		return Auxiliary
	case summarizesShown(words, end):
		return Compaction
	}
	return foreignWish(words, true)
}

// systemClass returns what the first texts of the system prompt say: each is compared with
// the beginnings of clients, from its start and below its headings, and, if there are no tools,
// looked at for what it wants. The first text of a side call decides. If there is none, a text
// for a sub-agent does, and so does the billing line of Claude Code. first says that there is
// nothing but a first question, and tools that the model may call some.
func (t *trail) systemClass(first, tools bool) Class {
	class := Turn
	for _, in := range []*systemPrompt{&t.system, &t.systemAmong} {
		if in.subagent {
			class = Subagent
		}
		for _, text := range in.texts[:in.n] {
			c := match(systemBeginnings, text)
			if c == Turn {
				if below := pastHeadings(text); len(below) < len(text) {
					c = match(systemBeginnings, below)
				}
			}
			if c == Turn && !tools {
				c = systemWish(text, first)
			}
			switch {
			case c.SideCall():
				return c
			case c == Subagent, addressesSubagent(text):
				class = Subagent
			}
		}
	}
	return class
}

// systemWish returns the class of what a text of the system prompt wants, or Turn. Most wishes
// count only if there is nothing but a first question.
func systemWish(text []byte, first bool) Class {
	if first {
		if c := soleWish(text); c != Turn {
			return c
		}
	}
	if first && ordersAside(text) || wantsStandaloneQuestion(text) {
		return Auxiliary
	}
	return Turn
}

// hasTools reports whether the model may call tools. It is false if the model must call a given
// one: that is how frameworks make it answer in a given form.
func (r *Request) hasTools(t *trail) bool {
	if !t.tools && !slices.ContainsFunc(toolFields, func(f field) bool {
		c := jsonscan.New(r.get(f))
		return c.Kind() == '{' || c.Array() && c.Element()
	}) {
		return false
	}
	kind := unquote(lastMember(r.member("tool_choice"), "type"))
	return kind != "function" && kind != "tool"
}

// loadsModel reports whether a body without words wants nothing of Ollama but to load or to
// unload a model. Other APIs have paths with the same end, but then there are other members in
// the body.
func (r *Request) loadsModel() bool {
	model := false
	c := jsonscan.New(r.Body)
	for c.Object(); ; c.Skim() {
		name, ok := c.Key()
		if !ok {
			return model && r.messages() == nil
		}
		switch string(name) {
		case "model":
			model = true
		case "messages", "prompt", "keep_alive", "stream", "options":
		default:
			return false
		}
	}
}

// probingWords are the whole text of probes, which want few tokens: people who greet a model
// want more.
var probingWords = map[string]bool{
	"quota": true, "count": true, "test": true, "testing": true, "probe": true, "ping": true, ".": true,
	"hi": true, "hello": true, "hey": true,
	"hey how's it going?": true, "what's 1 + 1?": true, // LiteLLM
}

// probes reports whether a request with these words and no others is a probe.
func (r *Request) probes(words []byte) bool {
	const longest = 24 // bytes of probing words
	if len(words) > longest {
		return false
	}
	lower := strings.ToLower(string(words))
	return lower == "warmup" || probingWords[lower] && r.wantsFewTokens()
}

// wantsFewTokens reports whether an answer may have no more than 16 tokens, which is the least
// limit that OpenAI's Responses API takes.
func (r *Request) wantsFewTokens() bool {
	return slices.ContainsFunc(tokenLimits, func(path []string) bool {
		limit := r.member(path[0])
		for _, name := range path[1:] {
			limit = lastMember(limit, name)
		}
		n, _ := strconv.Atoi(string(limit))
		return 0 < n && n <= 16
	})
}

// tokenLimits are where requests say how many tokens an answer may have.
var tokenLimits = [][]string{
	{"max_tokens"}, {"max_completion_tokens"}, {"max_output_tokens"},
	{"generationConfig", "maxOutputTokens"}, {"generation_config", "max_output_tokens"}, // Gemini
	{"request", "generationConfig", "maxOutputTokens"}, // Code Assist
	{"inferenceConfig", "maxTokens"},                   // Bedrock Converse
	{"options", "num_predict"},                         // Ollama
}
