package extract

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// A Class is what kind of call a request is.
type Class uint8

const (
	// Turn is a turn of a conversation, or a call of which nothing else is
	// known.
	Turn Class = iota

	// Subagent is a turn of a sub-agent.
	Subagent

	// Probe is a call that no model answers for anybody: a HEAD request, a
	// token count, a warm-up, a test of the quota.
	Probe

	// Auxiliary is a call beside the conversation: a title, a suggestion, a
	// classifier, memory, an embedding, an image, speech.
	Auxiliary

	// Compaction is the call that replaces a conversation by its summary.
	Compaction
)

// String returns the class in lower case.
func (c Class) String() string {
	switch c {
	case Turn:
		return "turn"
	case Subagent:
		return "subagent"
	case Probe:
		return "probe"
	case Auxiliary:
		return "auxiliary"
	case Compaction:
		return "compaction"
	}
	return "<unknown extract.Class>"
}

// MarshalText implements [encoding.TextMarshaler] by String.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Beside reports whether calls of the class stand beside the conversation: they
// have another prompt, so that where they go says nothing about where the
// conversation is cached.
func (c Class) Beside() bool { return c == Probe || c == Auxiliary || c == Compaction }

// Class returns the class of the request: what the client says in its headers,
// what the method and the path say, or what the body has in an unmistakable
// form. When in doubt it is a Turn.
//
// Known are the headers of Claude Code (X-Claude-Code-Request-Class and others),
// Codex (X-Openai-Subagent, the request_kind of X-Codex-Turn-Metadata), Copilot
// (X-Interaction-Type) and OpenCode (X-Parent-Session-Id, which its sub-agents send),
// token counts, embeddings and the like by their paths, the warm-up and quota calls of
// Claude Code, the fixed openings of the title, suggestion and compaction calls of some
// 30 clients, and system prompts that want a title for a conversation, where there is
// nothing but a first question.
func (r *Request) Class() Class {
	r.spelling()
	c := r.pathClass()
	if c == Turn {
		c = r.headerClass()
	}
	if c == Turn {
		c = r.bodyClass()
	}
	return c
}

// classHeaders are those that headerClass asks for.
var classHeaders = newNameFilter("X-Claude-Code-Request-Class", "X-Claude-Code-Compaction", "X-Claude-Code-Agent-Id",
	"X-Openai-Subagent", "X-Codex-Turn-Metadata", "X-Interaction-Type", parentHeader)

// headerClass returns what any client says in its headers.
func (r *Request) headerClass() Class {
	if r.classless.Load() {
		return Turn
	}
	c := r.claudeClass(r.header("X-Claude-Code-Agent-Id"))
	if c == Turn {
		c = r.codexClass()
	}
	if c == Turn {
		c = r.copilotClass()
	}
	if c == Turn && r.header(parentHeader) != "" {
		c = Subagent
	}
	return c
}

func (r *Request) pathClass() Class {
	switch r.Method {
	case "HEAD", "OPTIONS":
		return Probe
	}
	const tail = 6
	if len(r.Path) < tail {
		return Turn
	}
	switch r.Path[len(r.Path)-tail:] { // the ends of all that are in the list
	case "tokens", "Tokens", "kenize", "ompact", "ddings", "/embed", "ations", "ptions", "/edits", "speech", "rerank", "ontent", "ntents":
		for _, p := range pathClasses {
			if strings.HasSuffix(r.Path, p.suffix) {
				return p.class
			}
		}
	}
	return Turn
}

var pathClasses = []struct {
	suffix string
	class  Class
}{
	{"/count_tokens", Probe},             // Anthropic
	{":countTokens", Probe},              // Gemini
	{"/count-tokens", Probe},             // Bedrock
	{"/responses/input_tokens", Probe},   // OpenAI
	{"/responses/compact", Compaction},   // OpenAI
	{":computeTokens", Probe},            // Vertex AI
	{"/tokenize", Probe},                 // vLLM, llama.cpp
	{"/embeddings", Auxiliary},           // OpenAI and others
	{"/embed", Auxiliary},                // Ollama, Cohere
	{"/rerank", Auxiliary},               // Cohere, vLLM
	{"/moderations", Auxiliary},          // OpenAI
	{"/images/generations", Auxiliary},   // OpenAI
	{"/images/edits", Auxiliary},         // OpenAI
	{"/audio/speech", Auxiliary},         // OpenAI
	{"/audio/transcriptions", Auxiliary}, // OpenAI
	{"/audio/translations", Auxiliary},   // OpenAI
	{":embedContent", Auxiliary},         // Gemini
	{":batchEmbedContents", Auxiliary},   // Gemini
}

// claudeClass returns what Claude Code says of a request of that agent, "" if it is of
// the main one.
func (r *Request) claudeClass(agent string) Class {
	switch r.header("X-Claude-Code-Request-Class") { // 2.1.273 and later, if asked for
	case "subagent", "workflow":
		return Subagent
	case "compaction":
		return Compaction
	case "auxiliary":
		return Auxiliary
	}
	if r.header("X-Claude-Code-Compaction") != "" {
		return Compaction
	}
	if agent != "" {
		return Subagent
	}
	return Turn
}

func (r *Request) codexClass() Class {
	var metadata string
	if v := r.values("X-Codex-Turn-Metadata"); len(v) > 0 && alike(v) {
		metadata = v[0]
	}
	return codexClass(r.header("X-Openai-Subagent"), metadata)
}

// codexClass returns the class of a request of that kind of sub-agent and with that
// metadata of a turn, which is JSON.
func codexClass(subagent, metadata string) Class {
	switch subagent {
	case "":
	case "compact":
		return Compaction
	case "memory_consolidation":
		return Auxiliary
	default: // review, collab_spawn and whatever a fork calls its own
		return Subagent
	}
	if metadata != "" && len(metadata) < maxRaw {
		switch kind, _ := text(lastMember([]byte(metadata), "request_kind")); kind {
		case "prewarm":
			return Probe
		case "compaction":
			return Compaction
		case "memory":
			return Auxiliary
		}
	}
	return Turn
}

// bodyCodexClass is codexClass for the body's client_metadata.
func bodyCodexClass(metadata []byte) Class {
	subagent, _ := text(lastMember(metadata, "x-openai-subagent"))
	turn, _ := text(lastMember(metadata, "x-codex-turn-metadata"))
	return codexClass(subagent, turn)
}

func (r *Request) copilotClass() Class {
	switch r.header("X-Interaction-Type") {
	case "conversation-subagent":
		return Subagent
	case "conversation-compaction":
		return Compaction
	case "conversation-background":
		return Auxiliary
	}
	return Turn
}

// Openings of side calls. Each is long enough not to be met with by chance, and none
// begins with another.
var (
	systemOpenings = sorted([]opening{
		{"You are naming a coding session", Auxiliary},                                                             // Claude Code
		{"Generate a concise, sentence-case title", Auxiliary},                                                     // Claude Code
		{"Analyze if this message indicates a new conversation topic", Auxiliary},                                  // Claude Code
		{"You will generate a short title", Auxiliary},                                                             // Crush
		{"You are a title generator", Auxiliary},                                                                   // OpenCode
		{"Generate a short title (four words or less)", Auxiliary},                                                 // Goose
		{"Generate a concise session title", Auxiliary},                                                            // kimi-cli
		{"Generate a very short title (3-6 words) for a coding session", Auxiliary},                                // Oh-my-pi
		{"Generate concise conversation titles.", Auxiliary},                                                       // gptme
		{"You are an expert in crafting pithy titles", Auxiliary},                                                  // Copilot Chat, CodeCompanion
		{"You are Title Generator, an expert assistant", Auxiliary},                                                // Forge
		{"You are a chat thread titling assistant", Auxiliary},                                                     // HuggingChat
		{"You are a conversation title generator", Auxiliary},                                                      // Letta Code
		{"You are an AI conversation titles assistant", Auxiliary},                                                 // big-AGI
		{"You are a helpful assistant that generates concise, descriptive titles", Auxiliary},                      // OpenHands
		{"You are a specialized Task Routing AI", Auxiliary},                                                       // Gemini CLI
		{"You are a diagnostic agent that determines whether a conversational AI", Auxiliary},                      // Gemini CLI
		{"You are a context routing agent for a coding AI session", Auxiliary},                                     // Gemini CLI
		{"You are an expert Context Memory Manager", Auxiliary},                                                    // Gemini CLI
		{"You are an expert code-editing assistant specializing in debugging and correcting failed", Auxiliary},    // Gemini CLI
		{"You are an expert code-editing assistant. Your task is to analyze a failed edit attempt", Auxiliary},     // Gemini CLI
		{"You name chat sessions.", Auxiliary},                                                                     // Hermes
		{"You are a workspace naming assistant", Auxiliary},                                                        // Mux
		{"You are a helpful AI assistant tasked with summarizing conversations", Compaction},                       // Claude Code, Roo Code
		{"You are a specialized system component responsible for distilling", Compaction},                          // Gemini CLI
		{"You are the component that summarizes internal chat history", Compaction},                                // Gemini CLI before, Qwen Code
		{"You are an expert context compressor", Compaction},                                                       // Gemini CLI
		{"You are running a compaction/summarization pass", Compaction},                                            // Mux
		{"You are a conversation summarizer. Produce", Compaction},                                                 // Microsoft Agent Framework
		{"You are an anchored context summarization assistant", Compaction},                                        // OpenCode
		{"You are a context summarization assistant", Compaction},                                                  // pi, Oh-my-pi
		{"You are a helpful assistant that compacts conversation context", Compaction},                             // kimi-cli
		{"You are summarizing a conversation to preserve context", Compaction},                                     // Crush
		{"## Task Context\n- An llm context limit was reached", Compaction},                                        // Goose
		{"Your task is to create a comprehensive, detailed summary of the entire conversation", Compaction},        // Copilot Chat
		{"You are an expert coding assistant. Your goal is to generate a concise, structured summary", Compaction}, // Avante
	})
	personOpenings = sorted([]opening{
		{"Please write a 5-10 word title", Auxiliary},                                          // Claude Code
		{"Generate a concise title for the following content", Auxiliary},                      // Crush
		{"Generate a title for this conversation", Auxiliary},                                  // OpenCode
		{"Generate a concise 3-7 word title for this conversation", Auxiliary},                 // Zed
		{"Provide a concise, 5-word-or-less title for the conversation", Auxiliary},            // LibreChat
		{"Create a concise, 3-6 word title.", Auxiliary},                                       // aichat
		{"Please generate a four to five word title summarizing our conversation", Auxiliary},  // NextChat
		{"Generate a concise title (max 5 words) for this conversation", Auxiliary},            // Copilot for Obsidian
		{"Given the following conversation and a follow up question, rephrase", Auxiliary},     // LangChain
		{"Summarize this file in 2-3 sentences. Be technical and specific", Auxiliary},         // Gemini CLI
		{"### Task:\nGenerate a concise", Auxiliary},                                           // Open WebUI: titles
		{"### Task:\nGenerate 1-3 broad tags", Auxiliary},                                      // Open WebUI
		{"### Task:\nGenerate a detailed prompt for am image", Auxiliary},                      // Open WebUI, to the letter
		{"### Task:\nSuggest 3-5 relevant follow-up", Auxiliary},                               // Open WebUI
		{"### Task:\nAnalyze the chat history to determine", Auxiliary},                        // Open WebUI: queries for a search
		{"### Task:\nYou are an autocompletion system", Auxiliary},                             // Open WebUI
		{"[SUGGESTION MODE:", Auxiliary},                                                       // Claude Code
		{"Web page content:", Auxiliary},                                                       // Claude Code
		{"Analyze *only* the content and structure of your immediately preceding", Auxiliary},  // Gemini CLI: who speaks next
		{"Summarize the user's primary intent or goal in this conversation", Auxiliary},        // Gemini CLI
		{"CRITICAL: Respond with TEXT ONLY", Compaction},                                       // Claude Code
		{"Your task is to create a detailed summary of the conversation so far", Compaction},   // Claude Code
		{"You are performing a CONTEXT CHECKPOINT COMPACTION", Compaction},                     // Codex, Mistral Vibe
		{"Provide a detailed prompt for continuing our conversation above", Compaction},        // OpenCode before
		{"Provide a detailed summary of our conversation above", Compaction},                   // Crush
		{"Create a comprehensive summary of this conversation that captures", Compaction},      // Continue
		{"Please provide a concise summary of our conversation so far, capturing", Compaction}, // Continue CLI
		{"You are maintaining a context-aware state summary", Compaction},                      // OpenHands
		{"You are a summarization agent creating a context checkpoint", Compaction},            // Hermes
		{"### State Update: Agent Continuity", Compaction},                                     // Gemini CLI
		{"<role>\nContext Extraction Assistant", Compaction},                                   // LangChain, Deep Agents
		{"Progressively summarize the lines of conversation provided", Compaction},             // LangChain before
		{"Based on our full conversation history, produce a concise summary", Compaction},      // AstrBot
		{"Summarize this conversation for a new Assistant", Compaction},                        // Mux
		{"Summarize the discussion briefly in 200 words", Compaction},                          // aichat
	})
)

type opening struct {
	text  string
	class Class
}

func sorted(openings []opening) []opening {
	slices.SortFunc(openings, func(a, b opening) int { return strings.Compare(a.text, b.text) })
	return openings
}

// probes are the whole text of probing calls that want a single token.
var probes = map[string]bool{"quota": true, "count": true, "warmup": true}

// bodyClass looks for the openings in the system prompt and in what a person
// last said.
func (r *Request) bodyClass() Class {
	r.index.talkative.Store(true)
	if !r.read() {
		return Turn
	}
	if raw := r.get(clientMetadataField); raw != nil {
		if c := bodyCodexClass(raw); c != Turn {
			return c
		}
	}
	t := r.trail()
	alone := t.texts == 1 && !t.answered
	for _, system := range []*context{&t.system, &t.opening} {
		for _, text := range system.texts[:system.n] {
			if c, ok := match(systemOpenings, text); ok {
				return c
			}
			if alone && titles(text) && !r.hasTools() {
				return Auxiliary
			}
		}
	}
	if c, ok := match(personOpenings, t.lastWords); ok {
		return c
	}
	if alone {
		words := strings.ToLower(string(t.lastWords))
		if words == "warmup" || probes[words] && r.wantsOneToken() {
			return Probe
		}
	}
	return Turn
}

func match(openings []opening, raw []byte) (Class, bool) {
	var buf [maxOpening]byte
	words := opened(raw, buf[:0])
	// What words begin with is the last opening that is not behind them.
	i, n := 0, len(openings)
	for i < n { // slices.BinarySearchFunc would have the buffer on the heap
		if m := (i + n) / 2; openings[m].text <= string(words) {
			i = m + 1
		} else {
			n = m
		}
	}
	if i > 0 && bytes.HasPrefix(words, []byte(openings[i-1].text)) {
		return openings[i-1].class, true
	}
	return Turn, false
}

// hasTools reports whether a model may call anything.
func (r *Request) hasTools() bool {
	return slices.ContainsFunc(toolFields, func(f field) bool {
		c := jsonscan.New(r.get(f))
		return c.Kind() == '{' || c.Array() && c.Element()
	})
}

// titles reports whether a system prompt, given as it opens, wants a title for a
// conversation, as many applications do in words of their own. One that has a title
// written for something else, and speaks of a conversation, loses little: no call after
// the first is without an answer.
func titles(raw []byte) bool {
	if !bytes.Contains(raw, []byte("itle")) { // as most
		return false
	}
	var buf [maxOpening]byte
	words := bytes.ToLower(opened(raw, buf[:0]))
	for _, wanted := range [][]string{
		{" title", "-title"},
		{"generat", "creat", "writ", "summar"},
		{"conversation", "session", "thread", "chat ", "chats"},
	} {
		if !slices.ContainsFunc(wanted, func(w string) bool { return bytes.Contains(words, []byte(w)) }) {
			return false
		}
	}
	return true
}

// opened appends to buf how a text opens, given as it stands between its quotes.
func opened(raw, buf []byte) []byte {
	return jsonscan.AppendText(buf, skipSpace(raw[:min(len(raw), 200)]))
}

func (r *Request) wantsOneToken() bool {
	for _, name := range []string{"max_tokens", "max_completion_tokens", "max_output_tokens"} {
		if string(r.member(name)) == "1" {
			return true
		}
	}
	return false
}
