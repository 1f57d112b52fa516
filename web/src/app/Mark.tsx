/** The sign of HiveMind; the name stands beside it. */
export function Mark({ className = "size-6" }: { className?: string }) {
  return (
    <svg aria-hidden viewBox="0 0 32 32" className={className}>
      <path fill="#f0a818" d="M16 1.5 28.6 8.7v14.6L16 30.5 3.4 23.3V8.7z" />
      <path fill="#241a04" d="M16 8.2l6.8 3.9v7.8L16 23.8l-6.8-3.9v-7.8z" />
      <path fill="#f0a818" d="M16 12.4l3.2 1.8v3.6L16 19.6l-3.2-1.8v-3.6z" />
    </svg>
  );
}
