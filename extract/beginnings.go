package extract

import (
	"bytes"
	"slices"
	"sort"
	"strings"
)

// A beginning is how the side calls of a client begin, and what they are.
type beginning struct {
	text  string
	class Class
}

// The beginnings of system prompts, and those of the last words of a person: if a side call
// continues the conversation, its client says what it wants in a message of the user. Both
// lists are ordered by client.
//
// To add one, take from the client's source the first words that are the same in all calls of
// the kind, without leading white space, and add a row for them. They must be long enough not to
// occur by chance, and not be what a person might ask for in the same words. (People put no
// colon after an order.) They have at most maxBeginning bytes, and none may begin with another
// one of the list, which a test checks. A call that is known by the rules in wishes.go needs no
// row.
var (
	systemBeginnings = sorted([]beginning{
		{"You are in a role play game. The following roles are available:", Auxiliary},                             // AG2
		{"Generate a short, concise title (maximum 6 words) that summarizes the main topic", Auxiliary},            // Agent TARS
		{"# AI role\n- You are a chat naming assistant", Auxiliary},                                                // Agent Zero
		{"# AI role\nYou are AI summarization assistant\nYou are provided with a conversation", Compaction},        // Agent Zero
		{"# AI's job\n1. The AI receives a MESSAGE from USER and short conversation HISTORY", Auxiliary},           // Agent Zero
		{"# AI's job\n1. The AI receives enumerated list of MEMORIES", Auxiliary},                                  // Agent Zero
		{"# Assistant's job\n1. The assistant receives a ", Auxiliary},                                             // Agent Zero
		{"# Memory Consolidation Analysis System", Auxiliary},                                                      // Agent Zero
		{"You are a Memory Manager that is responsible for managing information and preferences", Auxiliary},       // Agno
		{"Please provide a suitable name for this conversation", Auxiliary},                                        // Agno
		{"Analyze the following conversation between a user and an assistant, and extract", Auxiliary},             // Agno
		{"You are a Session Context Manager.", Auxiliary},                                                          // Agno
		{"You are building a memory of this user", Auxiliary},                                                      // Agno
		{"You are extracting structured profile information about the user", Auxiliary},                            // Agno
		{"Based on the user's message and the assistant's response below, generate follow-up", Auxiliary},          // Agno
		{"You are compressing tool call results to save context space", Auxiliary},                                 // Agno
		{"Your task is to search through user memories and return the IDs", Auxiliary},                             // Agno
		{"You are a Learning Extractor.", Auxiliary},                                                               // Agno
		{"You title chat sessions. Given the user's opening message", Auxiliary},                                   // aisuite
		{"You are a message classifier for a model router", Auxiliary},                                             // AnythingLLM
		{"You are a memory observer for a personalized AI assistant", Auxiliary},                                   // AnythingLLM
		{"You are a memory reflector for a personalized AI assistant", Auxiliary},                                  // AnythingLLM
		{"Classify the user's task before an autonomous desktop agent starts.", Auxiliary},                         // AnythingLLM
		{"You are an expert coding assistant. Your goal is to generate a concise, structured summary", Compaction}, // Avante
		{"Below is a history of the conversation so far, and a new question asked by the user that", Auxiliary},    // Azure's sample of a search
		{"You are an expert AI assistant skilled in creating diagrams. Analyze", Auxiliary},                        // big-AGI
		{"You are a helpful AI assistant skilled in creating user interfaces. Analyze", Auxiliary},                 // big-AGI
		{"Summarize the given conversation thread in a way", Compaction},                                           // big-AGI
		{"You are a software engineer. You are working on a project. you need to summarize", Compaction},           // bolt.diy
		{"You are a software engineer. You are working on a project. You have access to", Auxiliary},               // bolt.diy
		{"You are a senior software principal architect, you should help the user analyse", Auxiliary},             // bolt.diy
		{"You are an experienced developer who helps people choose the best starter template", Auxiliary},          // bolt.diy
		{"You are a conversation summarizer.\nYou will be given", Auxiliary},                                       // Botpress
		{"You are summarizing an agent run for prompt compaction", Compaction},                                     // browser-use
		{"You are an AI assistant that helps summarize conversations for future reference.", Compaction},           // cagent
		{"You are a helpful assistant that tries to summarize our conversation", Compaction},                       // Chat AI
		{"Please summarize the following conversation for a chat topic.", Auxiliary},                               // ChuanhuChatGPT
		{"You are naming a coding session", Auxiliary},                                                             // Claude Code
		{"Generate a concise, sentence-case title", Auxiliary},                                                     // Claude Code
		{"Analyze if this message indicates a new conversation topic", Auxiliary},                                  // Claude Code
		{"A user kicked off a Claude Code agent to do a coding task", Auxiliary},                                   // Claude Code
		{"You are a security monitor for autonomous AI coding agents", Auxiliary},                                  // Claude Code
		{"You are evaluating a hook condition in Claude Code", Auxiliary},                                          // Claude Code
		{"You are evaluating a stop-condition hook in Claude Code", Auxiliary},                                     // Claude Code
		{"You are selecting memories that will be useful to", Auxiliary},                                           // Claude Code, Qwen Code
		{"Generate a short kebab-case name (2-4 words)", Auxiliary},                                                // Claude Code
		{"You are a helpful AI assistant tasked with summarizing conversations.", Compaction},                      // Claude Code, Roo Code
		{"You are an elite AI agent architect specializing in crafting high-performance agent", Auxiliary},         // Claude Code, OpenCode, Qwen Code
		{"You are an assistant for performing a web search tool use", Auxiliary},                                   // Claude Code
		{"Your task is to process Bash commands that an AI coding agent wants to run.", Auxiliary},                 // Claude Code
		{"Extract any file paths that this command reads or modifies.", Auxiliary},                                 // Claude Code
		{"Summarize this coding conversation in under 50 characters.", Auxiliary},                                  // Claude Code
		{"You are an expert at analyzing git history. Given a list of files and", Auxiliary},                       // Claude Code before: which files to show in examples
		{"Write a short summary label describing what these tool calls accomplished", Auxiliary},                   // Claude Code, Qwen Code
		{"## Memory Writing Agent: Phase 1", Auxiliary},                                                            // Codex
		{"You are judging one planned coding-agent action", Subagent},                                              // Codex
		{"你是一个上下文压缩助手", Compaction},                                                                                // CoPaw
		{"You are an expert in crafting pithy titles for chatbot conversations", Auxiliary},                        // Copilot Chat, CodeCompanion
		{"You are an expert in crafting ultra-compact titles for chatbot conversations", Auxiliary},                // Copilot Chat
		{"You are an expert in crafting pithy branch names", Auxiliary},                                            // Copilot Chat
		{"You are an expert in writing short, catchy, and encouraging progress messages", Auxiliary},               // Copilot Chat
		{"Your task is to create a comprehensive, detailed summary of the entire conversation", Compaction},        // Copilot Chat
		{"You are an AI programming assistant, helping a software developer to come with", Auxiliary},              // Copilot Chat
		{"You are an AI assistant for a software developer who is about to make a pull request", Auxiliary},        // Copilot Chat
		{"You are an AI programming assistant that is specialized in applying code changes", Auxiliary},            // Copilot Chat
		{"You are an expert in file editing. The user has provided a patch that failed to apply", Auxiliary},       // Copilot Chat
		{"You are an expert classifier for AI coding assistant prompts", Auxiliary},                                // Copilot Chat
		{"You are a background task tracker for the main coding agent", Auxiliary},                                 // Copilot Chat
		{"You are an AI coding research assistant that uses search tools to gather information", Subagent},         // Copilot Chat
		{"You are an AI coding research assistant that runs a series of terminal commands", Subagent},              // Copilot Chat
		{"# Role:\n\nYou are a professional query reformulation engineer", Auxiliary},                              // Coze Studio
		{"You are a recommendation system, please complete the following recommendation task", Auxiliary},          // Coze Studio
		{"# Role\nYou are an AI assistant that quickly generates 3 relevant follow-up questions", Auxiliary},       // Coze Studio
		{"You are a Planning Agent observing execution progress. After each step", Auxiliary},                      // CrewAI
		{"You are an expert evaluator assessing how well an AI agent", Auxiliary},                                  // CrewAI
		{"You analyze a query for searching memory.", Auxiliary},                                                   // CrewAI
		{"You are comparing new content against existing memories", Auxiliary},                                     // CrewAI
		{"You are summarizing a conversation to preserve context", Compaction},                                     // Crush
		{"You are dcode's action authorization classifier.", Auxiliary},                                            // Deep Agents
		{"You are a memory management system. Your task is to analyze a conversation", Auxiliary},                  // DeerFlow
		{"You are generating follow-up questions to help the user continue", Auxiliary},                            // DeerFlow
		{"You are DeerFlow's pre-send prompt optimizer.", Auxiliary},                                               // DeerFlow
		{"### Job Description',\nYou are a text classification engine that analyzes", Auxiliary},                   // Dify
		{"You are a helpful assistant that summarizes AI coding chat sessions", Compaction},                        // Dyad
		{"You are a conversation summarizer for an AI coding assistant. Your task", Compaction},                    // Dyad
		{"You are ECA Code Completer, an editor-native", Auxiliary},                                                // ECA
		{"<p>You are part of a multi-agent system designed to make agent coordination", Auxiliary},                 // Flowise
		{"You are Title Generator, an expert assistant that analyzes user tasks", Auxiliary},                       // Forge
		{"You are a specialized Task Routing AI.", Auxiliary},                                                      // Gemini CLI
		{"You are a diagnostic agent that determines whether a conversational AI", Auxiliary},                      // Gemini CLI
		{"You are a context routing agent for a coding AI session", Auxiliary},                                     // Gemini CLI
		{"You are an expert Context Memory Manager", Auxiliary},                                                    // Gemini CLI
		{"You are an expert code-editing assistant specializing in debugging and correcting failed", Auxiliary},    // Gemini CLI
		{"You are an expert code-editing assistant. Your task is to analyze a failed edit attempt", Auxiliary},     // Gemini CLI
		{"You are a specialized system component responsible for distilling", Compaction},                          // Gemini CLI
		{"You are the component that summarizes internal chat history", Compaction},                                // Gemini CLI before, Qwen Code
		{"You are an expert context compressor", Compaction},                                                       // Gemini CLI
		{"You are **Codebase Investigator**, a hyper-specialized AI agent", Subagent},                              // Gemini CLI
		{"Generate a short title (four words or less)", Auxiliary},                                                 // Goose
		{"## Task Context\n- An llm context limit was reached", Compaction},                                        // Goose
		{"You are a good analyst and can detect operations whether they have read-only", Auxiliary},                // Goose
		{"The messages above are a conversation to summarize. Create a structured", Compaction},                    // Goose
		{"Generate concise conversation titles.", Auxiliary},                                                       // gptme
		{"You are an AI assistant that extracts entity nodes from conversational messages", Auxiliary},             // Graphiti
		{"You are an expert knowledge graph extraction specialist for an AI agent memory system", Auxiliary},       // Graphiti
		{"You are an entity extraction specialist for conversational messages", Auxiliary},                         // Graphiti
		{"You are an entity deduplication assistant.", Auxiliary},                                                  // Graphiti
		{"You are a fact deduplication assistant.", Auxiliary},                                                     // Graphiti
		{"You are an expert fact extractor that extracts fact triples from text", Auxiliary},                       // Graphiti
		{"You extract temporal bounds from facts.", Auxiliary},                                                     // Graphiti
		{"You are a title generator. Output ONLY a short title. Nothing else.", Auxiliary},                         // grok-cli
		{"You write terse coding-session recaps.", Auxiliary},                                                      // grok-cli
		{"You are compacting one portion of a conversation", Compaction},                                           // Haystack
		{"You name chat sessions.", Auxiliary},                                                                     // Hermes
		{"You are a chat thread titling assistant", Auxiliary},                                                     // HuggingChat
		{"You are compacting an IronClaw Reborn thread transcript into", Compaction},                               // IronClaw
		{"You are extracting the persistent user goal for an IronClaw Reborn thread.", Auxiliary},                  // IronClaw
		{"You generate a short set of useful next actions for an IronClaw user.", Auxiliary},                       // IronClaw
		{"You are Khoj, an extremely smart and helpful document search assistant with only", Auxiliary},            // Khoj
		{"You are a helpful assistant that compacts conversation context", Compaction},                             // kimi-cli
		{"Your goal is to select the most relevant tools for answering the user's query", Auxiliary},               // LangChain
		{"You are an expert at routing a user question to a vectorstore", Auxiliary},                               // LangGraph's guides
		{"You are a memory subroutine for an AI.", Auxiliary},                                                      // LangMem
		{"You are tasked with summarizing the following conversation.", Compaction},                                // LangMem
		{"You are an expert at understanding a CHAT HISTORY between an AI Assistant", Auxiliary},                   // Langroid
		{"Your job is to summarize a history of previous messages in a conversation", Compaction},                  // Letta
		{"You are a conversation title generator", Auxiliary},                                                      // Letta Code
		{"The following messages are being evicted from the BEGINNING of your context window", Compaction},         // Letta Code
		{"You are a hook evaluator for a coding assistant.", Auxiliary},                                            // Letta Code
		{"Use the `set_memory` tool to save important information about the user, but ONLY", Auxiliary},            // LibreChat
		{"Write a short label describing what this block of agent activity accomplished", Auxiliary},               // LibreChat
		{"You write the one-line header above a group of tool calls", Auxiliary},                                   // LibreChat
		{"Summarize what this phase of an agent run accomplished", Auxiliary},                                      // LibreChat
		{"Write a short orientation title for a user-visible reasoning step", Auxiliary},                           // LibreChat
		{"Task:\nClassify the call greeting transcript into exactly one of", Auxiliary},                            // LiveKit Agents
		{"The following is a conversation between the user and assistant. Write a concise summary", Compaction},    // LlamaIndex
		{"You are a conversation context compressor", Compaction},                                                  // LobeChat
		{"You're an assistant who's good at extracting key takeaways from conversations", Compaction},              // LobeChat before
		{"You are a sidecar that extracts 0-4 quick-reply suggestions", Auxiliary},                                 // LobeChat
		{"Summarize the conversation for future reference.", Compaction},                                           // LobeChat
		{"You read a task request a user just typed into a task composer", Auxiliary},                              // LobeChat
		{"You are a rigorous delivery checker. Judge whether the deliverable", Auxiliary},                          // LobeChat
		{"You are a delivery checker planner for an autonomous agent run.", Auxiliary},                             // LobeChat
		{"You are the memory consciousness of an AI", Auxiliary},                                                   // Mastra
		{"# ROLE\n\nYou are a Memory Extractor", Auxiliary},                                                        // Mem0
		{"You are an Assistant Information Organizer, specialized in accurately storing facts", Auxiliary},         // Mem0
		{"You are a memory summarization system that records and preserves", Compaction},                           // Mem0
		{"You are a Personal Information Organizer, specialized in accurately storing facts", Auxiliary},           // Mem0
		{"You are a conversation summarizer. Produce", Compaction},                                                 // Microsoft Agent Framework
		{"You are a concise turn summarizer for an AI coding agent", Auxiliary},                                    // Mistral Vibe
		{"As a professional web researcher, generate 3 related queries that explore", Auxiliary},                   // Morphic
		{"As a professional web researcher, your task is to generate a set of", Auxiliary},                         // Morphic before
		{"You are a workspace naming assistant", Auxiliary},                                                        // Mux
		{"You are running a compaction/summarization pass", Compaction},                                            // Mux
		{"You compact coding-agent conversations without losing information", Compaction},                          // nanocoder
		{"You are a memory consolidation engine.", Auxiliary},                                                      // nanobot, ZeroClaw
		{"You maintain a user's long-term personal memory list as concise bullet points.", Auxiliary},              // Obsidian Copilot
		{"Your task is to analyze a conversation and generate both a title and a summary.", Auxiliary},             // Obsidian Copilot
		{"You are a voice summarizer for a coding agent.", Auxiliary},                                              // Oh-my-pi
		{"Summarize the archived part of an Ollama agent conversation", Compaction},                                // Ollama
		{"You are in SUMMARY_MODE. Your ONLY function is to create a historical record", Compaction},               // Onlook
		{"Given the conversation history, provide a SHORT name for the conversation", Auxiliary},                   // Onyx
		{"You are an assistant that reformulates the last user message into a standalone", Auxiliary},              // Onyx
		{"You are an assistant that reformulates the last user message into a set of standalone", Auxiliary},       // Onyx
		{"You are a memory update agent that helps the user add or update memories", Auxiliary},                    // Onyx
		{"You are answering an ephemeral /btw side question about the current conversation", Auxiliary},            // OpenClaw
		{"You are a title generator. You output ONLY", Auxiliary},                                                  // OpenCode
		{"You are an anchored context summarization assistant", Compaction},                                        // OpenCode
		{"Summarize what was done in this conversation. Write like a pull request", Auxiliary},                     // OpenCode
		{"You are a helpful assistant that generates concise, descriptive titles for conversations", Auxiliary},    // OpenHands
		{"<role>\nAssistant is an advanced AI system designed to analyze the user query", Auxiliary},               // Perplexica
		{"You are an AI suggestion generator for an AI powered search engine", Auxiliary},                          // Perplexica
		{"You are a context summarization assistant. Your task is to read a conversation", Compaction},             // pi, Oh-my-pi
		{"You are an AI namer that creates a name for the plan.", Auxiliary},                                       // Plandex
		{"You are an AI namer that creates a name for output that has been piped", Auxiliary},                      // Plandex
		{"You are an AI namer that creates a name for an arbitrary text note", Auxiliary},                          // Plandex
		{"You are an AI parser. You turn an AI's plan for a programming task into a structured", Auxiliary},        // Plandex
		{"You are tasked with evaluating a response generated by another AI (AI 1)", Auxiliary},                    // Plandex
		{"Provide five alternative names for a given function or method body.", Auxiliary},                         // ProxyAI
		{"You are a prompt enhancer for a coding agent.", Auxiliary},                                               // ProxyAI
		{"You are now acting as the managed memory extraction subagent", Auxiliary},                                // Qwen Code
		{"You are a security classifier for an AI coding agent operating in auto mode.", Auxiliary},                // Qwen Code
		{"You generate session recaps for a programming assistant", Auxiliary},                                     // Qwen Code
		{"You are a conversation summarizer. Summarize the following conversation", Compaction},                    // RAGFlow
		{"# Role\nYou are an AI language model assistant tasked with generating **5", Auxiliary},                   // RAGFlow
		{"## Role\nA streamlined multilingual translator.", Auxiliary},                                             // RAGFlow
		{"## Role\nYou are a text analyzer.\n\n## Task\n", Auxiliary},                                              // RAGFlow
		{"## Role\nA helpful assistant.\n\n## Task & Steps\n1. Generate a full user question", Auxiliary},          // RAGFlow
		{"[Summarize the ongoing role story, It must also remove redundancy", Compaction},                          // RisuAI
		{"You name chat conversations. Given the user's first message", Auxiliary},                                 // Rowboat
		{"You are a search engine follow up query/questions generator", Auxiliary},                                 // Scira
		{"Ignore previous instructions. Summarize the most important parts of the message.", Auxiliary},            // SillyTavern
		{"You are a conversation summarizer. Provide a concise summary of the conversation", Compaction},           // Strands Agents
		{"You are a STEERING AGENT that evaluates a", Auxiliary},                                                   // Strands Agents
		{"You are a chat agent for summarizing AI agent chat sessions for later use.", Compaction},                 // Theia
		{"You are a coding assistant that helps merge code updates, ensuring every", Auxiliary},                    // Xcode, and models that do only this
		{"You are a precise code editing assistant. Your task is to modify code according to", Auxiliary},          // Xcode
		{"You are a precise code editing assistant. Your task is to create new code according to", Auxiliary},      // Xcode
	})
	personBeginnings = sorted([]beginning{
		{"Read the above conversation. Then select the next role from", Auxiliary},                                         // AG2
		{"<system-hint>You have been working on the task described above but have not yet", Compaction},                    // AgentScope
		{"Create a concise, 3-6 word title.\n\n**Notes**:", Auxiliary},                                                     // aichat
		{"Summarize the discussion briefly in 200 words or less to use as a prompt", Compaction},                           // aichat
		{"You have been working on the task described above but have not yet completed it. Write a", Compaction},           // Anthropic's SDKs, Inspect
		{"Generate a summary of our previous conversation history.\n<extra_instruction>", Compaction},                      // AstrBot
		{"Based on our full conversation history, produce a concise summary", Compaction},                                  // AstrBot
		{"Generate a title in less than 6 words for the following message (language", Auxiliary},                           // Better ChatGPT
		{"Generate a title in less than 6 words for the conversation so far (language", Auxiliary},                         // Better ChatGPT
		{"Provide a summary for continuing our conversation above. \nFocus on", Compaction},                                // cagent
		{"Summarize the conversation below.\nProduce markdown that strictly follows", Compaction},                          // CAMEL
		{"Based on the chat history, give this conversation a name", Auxiliary},                                            // Chatbox
		{"Provide a detailed summary for continuing this conversation.\nFocus on", Compaction},                             // Chatbox
		{"Please write a 5-10 word title", Auxiliary},                                                                      // Claude Code
		{"The user stepped away and is coming back", Auxiliary},                                                            // Claude Code
		{"You are now acting as the memory extraction subagent", Auxiliary},                                                // Claude Code
		{"Summarize this portion of a Claude Code session transcript", Auxiliary},                                          // Claude Code
		{"[SUGGESTION MODE:", Auxiliary},                                                                                   // Claude Code
		{string(sideQuestion), Auxiliary},                                                                                  // Claude Code: /btw
		{"Web page content:\n---", Auxiliary},                                                                              // Claude Code
		{"CRITICAL: Respond with TEXT ONLY", Compaction},                                                                   // Claude Code
		{"Your task is to create a detailed summary of the conversation so far", Compaction},                               // Claude Code
		{"Your task is to create a detailed summary of the RECENT portion of the conversation", Compaction},                // Claude Code
		{"Your task is to create a detailed summary of this conversation. This summary", Compaction},                       // Claude Code
		{"Describe your most recent action in 3-5 words using present tense", Auxiliary},                                   // Claude Code
		{"IMPORTANT: This message and these instructions are NOT part of the actual user conversation.", Auxiliary},        // Claude Code, Pochi
		{"Create a compact continuation summary of the conversation so far.\nPreserve", Compaction},                        // claude-code-router
		{"Summarize this session for continuation. Be concise and factual.", Compaction},                                   // Cline
		{"You are performing a CONTEXT CHECKPOINT COMPACTION", Compaction},                                                 // Codex, Mistral Vibe
		{"You are an expert at upholding safety and compliance standards for Codex", Auxiliary},                            // Codex
		{"# Overview\n\nGenerate 0 to 3 hyperpersonalized suggestions", Auxiliary},                                         // Codex
		{"You write the one-line activity update displayed beneath an existing Codex task", Auxiliary},                     // Codex
		{"You are a helpful assistant. You will be presented with the most recent messages", Auxiliary},                    // Codex
		{"You are a helpful assistant. You will be presented with a user prompt, and your job is to", Auxiliary},           // Codex
		{"<next_prompt_suggestion>\n[SUGGESTION MODE:", Auxiliary},                                                         // Codex
		{"You are Cody, an AI coding assistant from Sourcegraph. Your task is to generate a concise", Auxiliary},           // Cody
		{"Create a comprehensive summary of this conversation that captures", Compaction},                                  // Continue
		{"You are a HOLE FILLER. You are provided with a file containing holes", Auxiliary},                                // Continue
		{"Please provide a concise summary of our conversation so far, capturing", Compaction},                             // Continue CLI
		{"The conversation has grown too large for the context window and must be compacted now.", Compaction},             // Copilot Chat
		{"Please create a detailed summary of the conversation so far. The history is being", Compaction},                  // Copilot CLI
		{"Suggest what the user could say next. Provide clear, highly relevant", Auxiliary},                                // CopilotKit
		{"Generate a very short title (max 15 characters for Chinese", Auxiliary},                                          // CowAgent
		{"Assess the quality of the task completed based on the description, expected output", Auxiliary},                  // CrewAI
		{"Analyze the following conversation and create a structured summary that preserves", Compaction},                  // CrewAI
		{"Provide a detailed summary of our conversation above.", Compaction},                                              // Crush
		{"Generate a concise title for the following content", Auxiliary},                                                  // Crush
		{"You are compressing a long-running general-purpose agent conversation", Compaction},                              // DeepChat
		{"You are now acting as a compaction engine for this AI coding assistant.", Compaction},                            // DeepSeek Harness
		{"You are asked to generate a concise chat title", Auxiliary},                                                      // Dify
		{"# Compact\n\n## Task\n\nWrite a comprehensive brief.", Compaction},                                               // ECA
		{"关键：仅以文本响应。不要调用任何工具。", Compaction},                                                                                // Eino
		{"You are an AI assistant tasked with predicting the user's next question", Auxiliary},                             // FastGPT
		{"Progressively summarize the conversation provided", Compaction},                                                  // Flowise
		{"Summarize the conversation between the user and the assistant, reiterate the last message", Auxiliary},           // Flowise
		{"Summarize the following tool output to be a maximum of", Auxiliary},                                              // Gemini CLI
		{"Summarize this file in 2-3 sentences. Be technical and specific", Auxiliary},                                     // Gemini CLI
		{"Analyze *only* the content and structure of your immediately preceding", Auxiliary},                              // Gemini CLI: who speaks next
		{"Summarize the user's primary intent or goal in this conversation", Auxiliary},                                    // Gemini CLI
		{"### State Update: Agent Continuity", Compaction},                                                                 // Gemini CLI
		{"The following is a conversation history between a user and an AI agent. Please summarize", Compaction},           // Google ADK
		{"Summarize the topic of our conversation above in two or three words", Auxiliary},                                 // gp.nvim
		{"Please create a comprehensive resume of this conversation that includes:", Compaction},                           // gptme
		{"You are a summarization agent creating a context checkpoint", Compaction},                                        // Hermes
		{"Summarize in a 10-word Title. Give the title only.", Auxiliary},                                                  // Jan
		{"你是一个对话压缩助手。请将以下对话历史压缩", Compaction},                                                                              // JiuwenClaw
		{"Extract and summarize the key information from this conversation that would be useful for the agent", Auxiliary}, // kagent
		{"You are Muninn, the user's memory manager. Construct and maintain", Auxiliary},                                   // Khoj
		{"You are Khoj, an advanced web ", Auxiliary},                                                                      // Khoj
		{"You are Khoj, an extremely smart and helpful search assistant.", Auxiliary},                                      // Khoj
		{"You are an extremely smart and helpful title generator", Auxiliary},                                              // Khoj
		{"You are about to run out of context. Write a first-person handoff note", Compaction},                             // Kimi Code
		{"Create a comprehensive summary of this conversation.\n\nInclude the following", Compaction},                      // Koog
		{"You are an expert at suggesting good and memorable conversation name", Auxiliary},                                // Kotaemon
		{"<role>\nContext Extraction Assistant", Compaction},                                                               // LangChain, Deep Agents
		{"Given the above conversation, generate a search query to look up", Auxiliary},                                    // LangChain's guides
		{"Progressively summarize the lines of conversation provided", Compaction},                                         // LangChain before
		{"Read and understand the conversation between the User and the AI. Then, analyze", Auxiliary},                     // LangChain4j
		{"Create a summary of the conversation above:", Compaction},                                                        // LangGraph's guides
		{"This is summary of the conversation ", Compaction},                                                               // LangGraph's guides
		{"Given the conversation above, who should act next? Or should we FINISH?", Auxiliary},                             // LangGraph's guides
		{"Analyze this conversation and provide:\n1. The detected language of the conversation", Auxiliary},                // LibreChat
		{"Hold on, before you continue I need you to write me a checkpoint of everything so far.", Compaction},             // LibreChat
		{"Hold on again, update your checkpoint. Merge the new messages", Compaction},                                      // LibreChat
		{"Write a checkpoint of everything so far. This checkpoint replaces the messages above", Compaction},               // LibreChat
		{"Update the checkpoint. Merge the new messages into the existing checkpoint", Compaction},                         // LibreChat
		{"You are a precise fact extraction system designed to identify key information from conv", Auxiliary},             // LlamaIndex
		{"You are a precise fact condensing system designed to identify key information from conv", Auxiliary},             // LlamaIndex
		{"Some choices are given below. It is provided in a numbered list (1 to", Auxiliary},                               // LlamaIndex
		{"Given a user question, and a list of tools, output a list of relevant sub-questions", Auxiliary},                 // LlamaIndex
		{"Summarize the conversation below, keep the highlights as a bullet list:", Auxiliary},                             // LocalAGI
		{"Write a short title for the following request. Include only the title", Auxiliary},                               // Mattermost
		{"()里面是用户问题", Auxiliary},                                                                                           // MaxKB
		{"() contains the user's question. Answer the guessed", Auxiliary},                                                 // MaxKB
		{"You are a smart memory manager which controls the memory of a system", Auxiliary},                                // Mem0
		{"Suggest up to 3 follow-up questions that I could ask you to help me complete my task.", Auxiliary},               // Microsoft's template of a chat
		{"**Generate a clear and complete summary of the entire conversation in no more than five", Compaction},            // Microsoft.Extensions.AI
		{"Summarize this conversation for a new Assistant", Compaction},                                                    // Mux
		{"Create a memory overview for only the final", Compaction},                                                        // nanobot
		{"使用四到五个字直接返回这句话的简要主题", Auxiliary},                                                                                 // NextChat
		{"Please generate a four to five word title summarizing our conversation", Auxiliary},                              // NextChat
		{"Given the following conversation and a follow up question,\n    summarize", Auxiliary},                           // Obsidian Copilot
		{"Based on our conversation, what should I work on next to improve this page? Provide 3", Auxiliary},               // Onlook
		{"Select the most relevant document sections for the user's query (maximum", Auxiliary},                            // Onyx
		{"Help summarize the conversation up to the cutoff point (do not", Compaction},                                     // Onyx
		{"Update the existing summary by incorporating the new messages up to the cutoff point", Compaction},               // Onyx
		{"You are an assistant tasked with routing the users query based on their most recent message.", Auxiliary},        // Open Canvas
		{"### Task:\nGenerate a concise, 3-5 word title", Auxiliary},                                                       // Open WebUI: titles
		{"### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history", Auxiliary},                 // Open WebUI
		{"### Task:\nGenerate a detailed prompt for am image", Auxiliary},                                                  // Open WebUI, to the letter
		{"Create a concise, 3-5 word title with an emoji as a title for the", Auxiliary},                                   // Open WebUI before
		{"### Task:\nSuggest 3-5 relevant follow-up questions or prompts that the user might", Auxiliary},                  // Open WebUI
		{"### Task:\nAnalyze the chat history to determine the necessity of generating", Auxiliary},                        // Open WebUI: queries for a search
		{"### Task:\nYou are an autocompletion system. Continue the text in `<text>`", Auxiliary},                          // Open WebUI
		{"Your task is to reflect the speaker's likely facial expression through a fitting emoji", Auxiliary},              // Open WebUI
		{"Based on this conversation, generate a short 1-2 word filename slug", Auxiliary},                                 // OpenClaw
		{"Generate a title for this conversation:", Auxiliary},                                                             // OpenCode
		{"Provide a detailed prompt for continuing our conversation above", Compaction},                                    // OpenCode before
		{"Create a new anchored summary from the conversation history", Compaction},                                        // OpenCode, Kilo Code
		{"Update the anchored summary below using the conversation history above", Compaction},                             // OpenCode, Kilo Code
		{"You are maintaining a context-aware state summary", Compaction},                                                  // OpenHands
		{"You will rephrase follow-up questions into concise, standalone search queries", Auxiliary},                       // Page Assist
		{"Here is the conversation:\n\n--------------\n\n", Auxiliary},                                                     // Page Assist: titles
		{"You summarize a SEGMENT of a conversation for future model turns.", Compaction},                                  // PicoClaw
		{"You condense multiple summaries into a single higher-level summary.", Compaction},                                // PicoClaw
		{"Merge these two conversation summaries into one cohesive summary:", Compaction},                                  // PicoClaw
		{"You are an AI summarizer that summarizes the conversation so far", Compaction},                                   // Plandex
		{"Based on the conversation above, create a concise and descriptive title for the task.", Auxiliary},               // Pochi
		{"Create a summary of our conversation, focusing on technical details and user requests.", Compaction},             // Pochi
		{"Summarize the following conversation in a concise way that preserves key information,", Compaction},              // PraisonAI
		{"Please extract keywords from the question, both in Chinese and English, and", Auxiliary},                         // Qwen-Agent
		{"Summarize the chat above in 2-3 words. Prefer filenames", Auxiliary},                                             // Refact
		{"Generate an enhanced version of this prompt (reply with only the enhanced prompt", Auxiliary},                    // Roo Code, Kilo Code
		{"Provide a concise and complete summarization of the entire dialog that does not exceed", Compaction},             // Semantic Kernel
		{"BEGIN CONTENT TO SUMMARIZE:\n", Compaction},                                                                      // Semantic Kernel
		{"Ignore previous instructions. Summarize the most important facts and events", Compaction},                        // SillyTavern
		{"Ignore previous instructions. Classify the emotion of the last message.", Auxiliary},                             // SillyTavern
		{"Ignore previous instructions and provide a detailed description of ", Auxiliary},                                 // SillyTavern: a picture
		{"Ignore previous instructions. Your next response must be formatted as a single", Auxiliary},                      // SillyTavern: a picture
		{"<role>\nSurfSense Conversation Compaction Assistant", Compaction},                                                // SurfSense
		{"Summarize the above conversation and create a succinct title", Auxiliary},                                        // Tabby
		{"You are a helpful assistant that helps the user to ask related questions", Auxiliary},                            // Tabby
		{"You are an AI coding assistant. You should generate a commit message based on the given diff", Auxiliary},        // Tabby
		{"Generate 3-5 concise git branch name suggestions based on these changes. Include", Auxiliary},                    // Tabby
		{"Provide a short and descriptive name for the given AI chat conversation", Auxiliary},                             // Theia
		{"Given the preceding excerpt, your job is to determine \"what task is the agent performing", Auxiliary},           // Trae Agent
		{"Given the trajectory, your job is to determine \"what task is the agent performing", Auxiliary},                  // Trae Agent
		{"You are a programming assistant for Apple platforms, tasked with summarizing the user's questions", Auxiliary},   // Xcode: titles
		{"你是一个经验丰富的记忆总结者", Compaction},                                                                                     // xiaozhi
		{"Generate a detailed summary of this conversation. Include:\n1. A brief overview", Compaction},                    // Zed
		{"You are an expert at writing Git commits. Your job is to write a short clear commit message", Auxiliary},         // Zed
		{"You are compacting this conversation into a handoff for another agent", Compaction},                              // Zed
	})
)

func sorted(beginnings []beginning) []beginning {
	slices.SortFunc(beginnings, func(a, b beginning) int { return strings.Compare(a.text, b.text) })
	return beginnings
}

// match returns the class of the beginning that a plain text begins with, or Turn.
func match(beginnings []beginning, text []byte) Class {
	var buf [maxBeginning]byte
	words := beginningOf(text, buf[:0])
	// Since no beginning begins with another, the one that words begin with is the last that does
	// not sort after them. (slices.BinarySearchFunc would put the buffer on the heap.)
	i := sort.Search(len(beginnings), func(i int) bool { return beginnings[i].text > string(words) })
	if i > 0 && bytes.HasPrefix(words, []byte(beginnings[i-1].text)) {
		return beginnings[i-1].class
	}
	return Turn
}
