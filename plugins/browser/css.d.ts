/** Style sheets go through the bundler, which writes them beside the page's script. */
declare module '*.css';
