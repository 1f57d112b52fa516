import js from "@eslint/js";
import jsxA11y from "eslint-plugin-jsx-a11y";
import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "node_modules", "src/api/schema.d.ts", "shots"] },
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [...tseslint.configs.strict, jsxA11y.flatConfigs.strict],
    plugins: { "react-hooks": hooks },
    rules: {
      "react-hooks/rules-of-hooks": "error",
      "react-hooks/exhaustive-deps": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "no-console": "error",
      "no-eval": "error",
      "max-lines": ["error", 400],
    },
  },
  {
    files: ["**/*.{js,mjs}"],
    languageOptions: { globals: { document: "readonly", globalThis: "readonly", process: "readonly", console: "readonly", URL: "readonly", Buffer: "readonly", setInterval: "readonly", setTimeout: "readonly", clearInterval: "readonly" } },
  },
);
